"""MongoDB on each engine: the set is where clients are told that it is, also after a move; and its image by itself."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from support.bench import Bench
from support.wait import until

from orchestrator.engines.docker.engine import DockerEngine
from orchestrator.model import InstanceSpec
from orchestrator.services.mongodb.clients import admin
from orchestrator.services.mongodb.service import RECIPE
from orchestrator.system.ports import free_port


def up(bench: Bench, spec: InstanceSpec) -> InstanceSpec:
    """Running, ready and prepared."""
    bench.up(spec)
    RECIPE.prepare(spec.endpoint, spec.credentials)
    return spec


def member(spec: InstanceSpec) -> str:
    """Where the set says that its only member is."""
    with admin(spec.endpoint, spec.credentials) as client:
        return str(client.admin.command("replSetGetConfig")["config"]["members"][0]["host"])


@contextlib.contextmanager
def learner(spec: InstanceSpec, options: str = "directConnection=true") -> Iterator[Any]:
    url = RECIPE.environment(spec.endpoint, spec.credentials)["MONGODB_URL"].partition("?")[0]
    with MongoClient(f"{url}?{options}") as client:
        yield client.get_default_database()


def test_drivers_that_look_for_the_set_find_it(bench: Bench) -> None:
    """On both engines its member is where it is reached from outside."""
    spec = up(bench, bench.spec("mongodb", keep_data=False))

    with learner(spec, "replicaSet=rs0") as database:
        database.pages.insert_one({"slug": "a"})
        assert database.client.nodes == {("127.0.0.1", spec.port)}


def test_data_moves_to_another_port_and_other_passwords(bench: Bench) -> None:
    """A new instance on old data: the set takes its new address, the administrator's and the learner's new passwords."""
    old = up(bench, bench.spec("mongodb"))
    with learner(old) as database:
        database.pages.insert_one({"slug": "kept"})
    bench.engine.remove(old.name, data=False)

    new = up(bench, dataclasses.replace(old, port=free_port(avoid=bench.ports), credentials=dataclasses.replace(
        RECIPE.credentials(), user=old.credentials.user)))

    assert member(new) == f"127.0.0.1:{new.port}"
    with learner(new) as database:
        assert database.pages.find_one({})["slug"] == "kept"


def test_a_killed_set_keeps_what_it_acknowledged(bench: Bench) -> None:
    spec = up(bench, bench.spec("mongodb"))
    with learner(spec) as database:
        database.pages.insert_many([{"n": n} for n in range(100)])
    bench.engine.kill(spec.name)
    bench.start(spec)
    RECIPE.prepare(spec.endpoint, spec.credentials)

    with learner(spec) as database:
        assert database.pages.count_documents({}) == 100


@pytest.mark.docker
def test_in_a_container_the_set_is_where_its_link_is(image_table: Path) -> None:
    """The number inside is the link's; it needs no link to find itself there."""
    with contextlib.closing(DockerEngine.connect(image_table)) as engine:
        bench = Bench(engine)
        try:
            link = free_port(avoid=bench.ports)
            spec = up(bench, dataclasses.replace(bench.spec("mongodb", keep_data=False), links={"": link}))
            assert (member(spec), bench.answers(spec)) == (f"127.0.0.1:{link}", True)
        finally:
            bench.clear()


# --- the image built from packages -----------------------------------------------------------------------------------


@pytest.fixture
def container(image_table: Path) -> Iterator[Any]:
    """Run the image that is here for MongoDB; its id and its port on 127.0.0.1."""
    from docker import APIClient

    made: list[str] = []
    with contextlib.closing(DockerEngine.connect(image_table)) as engine:
        address, image = engine.info().address, engine.offer(RECIPE).expected
    with contextlib.closing(APIClient(address, version="1.41", timeout=60)) as api:
        def run(command: list[str], environment: dict[str, str]) -> tuple[Any, str, int]:
            port = free_port()
            config = api.create_host_config(port_bindings={27017: ("127.0.0.1", port)})
            one = api.create_container(image, command=command, environment=environment, ports=[27017], host_config=config)["Id"]
            made.append(one)
            api.start(one)
            return api, one, port

        yield run
        for one in made:
            api.remove_container(one, force=True, v=True)


def logged_in(port: int, **login: str) -> Any:
    """A client that has logged in, as soon as that can be done."""
    def attempt() -> Any:
        client: MongoClient[Any] = MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=500, **login)
        with contextlib.suppress(Exception):
            client.admin.command("usersInfo", 1)
            return client
        client.close()
        return None

    return until(attempt, seconds=30)


@pytest.mark.docker
@pytest.mark.slow
def test_the_image_honours_the_official_variables(container: Any) -> None:
    """Names and passwords of any characters; it is closed to everybody else, and does not run as root."""
    password = "it's \\ \"$HOME\" é;"
    api, one, port = container([], {"MONGO_INITDB_ROOT_USERNAME": 'o"neil', "MONGO_INITDB_ROOT_PASSWORD": password})

    with logged_in(port, username='o"neil', password=password) as client:
        assert client.admin.command("connectionStatus")["authInfo"]["authenticatedUserRoles"] == [{"role": "root", "db": "admin"}]
    with MongoClient("127.0.0.1", port, directConnection=True) as anyone:
        with pytest.raises(Exception, match="requires authentication"):
            anyone.admin.command("listDatabases")
    assert "root" not in {row[0] for row in api.top(one, ps_args="-eo user:20,pid")["Processes"]}
    assert "$HOME" not in str(api.top(one))
    api.restart(one)
    logged_in(port, username='o"neil', password=password).close()


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize(("command", "environment", "words"), [
    ([], {"MONGO_INITDB_ROOT_USERNAME": "admin"}, "MONGO_INITDB_ROOT_PASSWORD"),
    (["sh", "-c", "touch /docker-entrypoint-initdb.d/a.js && exec docker-entrypoint.sh mongod"], {}, "mongosh"),
    (["mongod", "--version"], {}, "db version v"),
], ids=["half-a-login", "script", "version"])
def test_the_image_says_why_it_does_not_start(container: Any, command: list[str], environment: dict[str, str],
                                              words: str) -> None:
    api, one, _ = container(command, environment)

    api.wait(one)
    assert words in api.logs(one).decode()
