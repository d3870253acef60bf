"""The images built from packages honour the official images' variables, so that one Compose file runs both."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.wait import until

from orchestrator import resources, services
from orchestrator.engines.docker.engine import DockerEngine
from orchestrator.engines.docker.images import Images
from orchestrator.engines.docker.local import local_name
from orchestrator.system.ports import free_port

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Run = Callable[..., tuple[str, int]]


@pytest.fixture(scope="module")
def address(image_table: Path) -> str:
    with contextlib.closing(DockerEngine.connect(image_table)) as engine:
        return engine.info().address


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, address: str) -> Images:
    """Built once; also where the official images are here and the other tests run those."""
    table = tmp_path_factory.mktemp("built") / "images.json"
    made = Images([services.recipe(name) for name in services.names() if services.recipe(name).compose], table, address)
    made.build(lambda line: None)
    return made


@pytest.fixture
def api(images: Images, address: str) -> Iterator[Any]:
    from docker import APIClient

    with contextlib.closing(APIClient(address, version="1.41", timeout=60)) as client:
        yield client


@pytest.fixture
def run(api: Any, images: Images) -> Iterator[Run]:
    """Run a container of the image that was built for a service; its id and its port on 127.0.0.1."""
    made: list[str] = []
    local = {image.service: image.local for image in images.all()}

    def start(service: str, environment: dict[str, str], command: list[str] | None = None, **host: Any) -> tuple[str, int]:
        inside, port = services.recipe(service).port, free_port()
        config = api.create_host_config(port_bindings={inside: ("127.0.0.1", port)}, **host)
        container = api.create_container(local[service], command=command, environment=environment, ports=[inside],
                                         host_config=config, name=f"labs-test-{secrets.token_hex(6)}")["Id"]
        made.append(container)
        api.start(container)
        return container, port

    yield start
    for container in made:
        api.remove_container(container, force=True, v=True)


def query(api: Any, container: str, port: int, statement: str, **login: str) -> Any:
    """One value, asked as soon as PostgreSQL answers; its log if it ends instead."""
    import psycopg

    def ask() -> Any:
        assert api.inspect_container(container)["State"]["Running"], api.logs(container).decode()
        try:
            with psycopg.connect(host="127.0.0.1", port=port, connect_timeout=2, **login) as connection:
                return connection.execute(statement).fetchone()
        except psycopg.OperationalError as error:
            if "password" in str(error):
                raise
            return None

    return until(ask, seconds=30)[0]


def test_user_password_and_database_are_the_variables(api: Any, run: Run) -> None:
    """Names and passwords of any characters; the database has the user's name if none is given."""
    password = "it's \\ \"$HOME\" é;"
    container, port = run("postgres", {"POSTGRES_USER": 'o"neil', "POSTGRES_PASSWORD": password})
    login = {"user": 'o"neil', "dbname": 'o"neil', "password": password}

    assert query(api, container, port, "SELECT current_user || current_database()", **login) == 'o"neilo"neil'
    assert query(api, container, port, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user", **login) is True


def test_only_the_right_password_opens_it(api: Any, run: Run) -> None:
    """The data is made in the build, the password is not: it is this container's, also after a restart."""
    import psycopg

    container, port = run("postgres", {"POSTGRES_PASSWORD": "first"})
    login = {"user": "postgres", "dbname": "postgres"}
    assert query(api, container, port, "SELECT 1", **login, password="first") == 1
    for wrong in ("", "postgres", "replaced-at-the-first-start"):
        with pytest.raises(psycopg.OperationalError):
            query(api, container, port, "SELECT 1", **login, password=wrong)

    api.restart(container)

    assert query(api, container, port, "SELECT 1", **login, password="first") == 1


def test_without_a_password_it_does_not_start(api: Any, run: Run) -> None:
    """As the official image: an open database is not made by forgetting something."""
    container, _ = run("postgres", {})

    until(lambda: not api.inspect_container(container)["State"]["Running"])
    assert api.inspect_container(container)["State"]["ExitCode"] == 1
    assert "POSTGRES_PASSWORD" in api.logs(container).decode()


def test_initdb_arguments_are_honoured(api: Any, run: Run) -> None:
    """Other data than what was made in the build is made at the first start."""
    container, port = run("postgres", {"POSTGRES_PASSWORD": "pw", "POSTGRES_INITDB_ARGS": "--data-checksums --locale=C"},
                          ["postgres", "-c", "max_connections=33"])
    login = {"user": "postgres", "dbname": "postgres", "password": "pw"}

    assert query(api, container, port, "SHOW data_checksums", **login) == "on"
    assert query(api, container, port, "SHOW max_connections", **login) == "33"


def test_an_empty_folder_is_initialised(api: Any, run: Run) -> None:
    """Where nothing was copied into the volume (a tmpfs, a folder of the host), data is made at the first start."""
    container, port = run("postgres", {"POSTGRES_PASSWORD": "pw"}, tmpfs={"/var/lib/postgresql": "size=200m"})
    login = {"user": "postgres", "dbname": "postgres", "password": "pw"}

    assert query(api, container, port, "SELECT 1", **login) == 1


def test_what_the_labs_need_of_postgres_is_in_it(api: Any, run: Run) -> None:
    """Statistics of statements and plans in the log; nobody is superuser but the one; it does not run as root."""
    container, port = run("postgres", {"POSTGRES_PASSWORD": "pw"},
                          ["-c", "shared_preload_libraries=pg_stat_statements,auto_explain"])
    login = {"user": "postgres", "dbname": "postgres", "password": "pw"}

    assert query(api, container, port, "SELECT count(*) FROM pg_available_extensions WHERE name IN "
                                       "('pg_stat_statements', 'pgcrypto', 'pg_trgm')", **login) == 3
    assert query(api, container, port, "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolcanlogin",
                 **login) == "postgres"
    assert query(api, container, port, "SHOW auto_explain.log_min_duration", **login) == "-1"
    users = {row[0] for row in api.top(container, ps_args="-eo user:20,pid")["Processes"]}
    assert "root" not in users


def test_redis_runs_with_the_arguments_given(api: Any, run: Run) -> None:
    """Arguments alone go to `redis-server`, which owns its data and does not run as root."""
    import redis

    container, port = run("redis", {}, ["--requirepass", "pw", "--appendonly", "yes"])
    with contextlib.closing(redis.Redis(port=port, password="pw", socket_timeout=5, decode_responses=True)) as client:
        def answers() -> bool:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        until(answers)
        assert client.config_get("dir") == {"dir": "/data"}
        assert client.set("a", "b")
    users = {row[0] for row in api.top(container, ps_args="-eo user:20,pid")["Processes"]}
    assert "root" not in users


def test_any_other_command_is_run_as_it_is(api: Any, run: Run) -> None:
    """`docker run IMAGE psql --version` works, as with the official images."""
    for service, command in (("postgres", ["psql", "--version"]), ("redis", ["redis-cli", "--version"])):
        container, _ = run(service, {}, command)
        api.wait(container)
        assert command[0] in api.logs(container).decode()


def test_a_second_build_does_nothing(images: Images) -> None:
    """What was built from the same content is not built again."""
    said: list[str] = []
    before = images.all()

    assert images.build(said.append) == before
    assert said == []


@pytest.fixture
def small(images: Images, api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Images of this test's own for both services, of one file each; the base is there, for ``images`` was built."""
    from docker.errors import ImageNotFound

    monkeypatch.setattr(resources, "images_folder", lambda: tmp_path / "images")
    for name in ("postgres", "redis"):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        (folder / "Dockerfile").write_text("FROM debian:trixie-slim\nCOPY mark /mark\n")
        mark(folder)
    first = [local_name(services.recipe(name)) for name in ("postgres", "redis")]
    yield tmp_path / "images"
    for name in {*first, *(local_name(services.recipe(name)) for name in ("postgres", "redis"))}:
        with contextlib.suppress(ImageNotFound):
            api.remove_image(name)


def mark(folder: Path) -> None:
    """Other content than anybody else's."""
    (folder / "mark").write_text(secrets.token_hex(8))


def test_a_change_to_one_service_builds_one_image(small: Path, address: str, tmp_path: Path) -> None:
    """The other one stays what it was; the table names both."""
    table, said = tmp_path / "images.json", []
    recipes = [services.recipe(name) for name in ("postgres", "redis")]
    first = Images(recipes, table, address).build(said.append)
    assert [line.partition(":")[0] for line in said] == ["building backend-labs/postgres", "building backend-labs/redis"]

    mark(small / "redis")
    said.clear()
    second = Images(recipes, table, address).build(said.append)

    assert said == [f"building {second[1].local}"]
    assert (second[0], second[1].local != first[1].local) == (first[0], True)
    assert json.loads(table.read_text()) == {image.upstream: image.local for image in second}


def test_an_image_of_another_version_is_named_and_not_used(small: Path, address: str, tmp_path: Path) -> None:
    """A teacher's file from before an update: said in a line, and the table stays as it was."""
    table, said = tmp_path / "images.json", []
    Images([services.recipe("redis")], table, address).build(lambda line: None)
    before = table.read_text()
    (old,) = Images([services.recipe("redis")], table, address).save(tmp_path / "images.tar", lambda line: None)
    mark(small / "redis")

    (found,) = Images([services.recipe("redis")], table, address).load(tmp_path / "images.tar", said.append)

    assert not found.built
    assert said[-1] == f"{old.local} was built by another version of labs and is not used"
    assert table.read_text() == before


def test_saved_images_can_be_loaded(images: Images, address: str, tmp_path: Path) -> None:
    """One file carries them to a machine without a network; loading it names them in the table."""
    table = tmp_path / "a home" / "images.json"
    images = Images([services.recipe("redis")], table, address)
    file = tmp_path / "my images.tar"
    images.save(file, lambda line: None)
    names = subprocess.run(["tar", "-xOf", str(file), "manifest.json"], capture_output=True, text=True, check=True).stdout

    assert all(image.local in names for image in images.all())
    assert images.load(file, lambda line: None) == images.all()
    assert json.loads(table.read_text()) == {image.upstream: image.local for image in images.all()}
