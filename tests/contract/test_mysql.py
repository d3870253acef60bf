"""MySQL from our Compose file on the Docker engine: started, stopped, killed; and what its image keeps to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
import pytest
from support.bench import Bench, found
from support.embedded import engine_in
from support.wait import until

from orchestrator import services
from orchestrator.engines.docker.engine import DockerEngine
from orchestrator.engines.docker.images import Images
from orchestrator.model import Fidelity, State
from orchestrator.services.mysql.service import RECIPE
from orchestrator.services.mysql_kin.clients import rows
from orchestrator.system.ports import free_port

MOST_IDLE = 300_000_000
"""Bytes: what the recipe says that it needs, and a little."""
SETTINGS = {
    "event_scheduler": "OFF", "local_infile": "OFF", "log_bin": "OFF", "max_connections": "100", "mysqlx": None,
    "secure_file_priv": "NULL", "time_zone": "+00:00", "performance_schema": "ON",
}
WATCHED = ("wait/lock/metadata/sql/mdl", "statement/sql/select", "transaction")
Run = Callable[..., tuple[str, int]]


@pytest.fixture(scope="module")
def image(docker: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Ours, also where the official one is here and the other tests run that."""
    made = Images([services.recipe("mysql")], tmp_path_factory.mktemp("built") / "images.json", docker.info().address)
    made.build(lambda line: None)
    return made.all()[0].local


@pytest.fixture
def run(api: Any, image: str) -> Iterator[Run]:
    """Run a container of it; its id and its port on 127.0.0.1."""
    made: list[str] = []

    def start(environment: dict[str, str], command: list[str] | None = None, **host: Any) -> tuple[str, int]:
        port = free_port()
        config = api.create_host_config(port_bindings={3306: ("127.0.0.1", port)}, **host)
        container = api.create_container(image, command=command, environment=environment, ports=[3306],
                                         host_config=config)["Id"]
        made.append(container)
        api.start(container)
        return container, port

    yield start
    for container in made:
        api.remove_container(container, force=True, v=True)


def query(api: Any, container: str, port: int, statement: str, user: str = "root", secret: str = "pw",
          **more: Any) -> Any:
    """The rows, asked as soon as MySQL answers; its log if it ends instead."""
    def ask() -> list[Any]:
        assert api.inspect_container(container)["State"]["Running"], api.logs(container).decode()
        try:
            with pymysql.connect(host="127.0.0.1", port=port, user=user, password=secret, connect_timeout=2,
                                 **more) as one:
                return [rows(one, statement)]
        except pymysql.err.OperationalError as error:
            if error.args[0] in (1044, 1045):
                raise
            return []

    return until(ask, seconds=30)[0]


@pytest.mark.docker
@pytest.mark.slow
def test_it_stops_in_order_and_keeps_what_was_committed(docker_bench: Bench) -> None:
    """By its stop signal within its grace, and by SIGKILL: each start is another incarnation, with the same rows."""
    spec = docker_bench.up(docker_bench.spec("mysql"))
    RECIPE.prepare(spec.endpoint, spec.credentials)

    def ask(statement: str) -> str:
        return RECIPE.run_statement(spec.endpoint, spec.credentials, statement)

    ask("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
    seen = {RECIPE.incarnation(spec.endpoint, spec.credentials)}

    docker_bench.engine.stop(spec.name)
    stopped = found(docker_bench, spec)
    assert (stopped.state, stopped.exit_code, stopped.oom) == (State.EXITED, 0, False)
    docker_bench.start(spec)
    seen.add(RECIPE.incarnation(spec.endpoint, spec.credentials))
    ask("INSERT INTO kept VALUES (2)")
    docker_bench.engine.kill(spec.name)
    assert found(docker_bench, spec).exit_code == 137
    docker_bench.start(spec)

    assert len(seen | {RECIPE.incarnation(spec.endpoint, spec.credentials)}) == 3
    assert ask("SELECT n FROM kept ORDER BY n") == "n\n-\n1\n2\n(2 rows)"


@pytest.mark.docker
@pytest.mark.slow
def test_the_compose_file_says_what_runs(docker_bench: Bench, api: Any) -> None:
    """Its settings are taken, what checks read of the performance schema is there, and it is as small as we say."""
    spec = docker_bench.up(docker_bench.spec("mysql", keep_data=False))
    RECIPE.prepare(spec.endpoint, spec.credentials)
    answer = api.stats(spec.name, stream=False)["memory_stats"]
    with contextlib.closing(pymysql.connect(
            host="127.0.0.1", port=spec.port, user="root", password=spec.credentials.admin_password)) as root:
        known = dict(rows(root, "SELECT LOWER(variable_name), variable_value FROM performance_schema.global_variables"))
        watched = rows(root, "SELECT name FROM performance_schema.setup_instruments WHERE enabled = 'YES'")
        kept = rows(root, "SELECT name FROM performance_schema.setup_consumers WHERE enabled = 'YES'")
        lost = rows(root, "SHOW GLOBAL STATUS WHERE variable_name LIKE 'performance_schema%lost' AND value > 0"
                          " AND variable_name NOT LIKE '%classes_lost'")

    assert {name: known.get(name) for name in SETTINGS} == SETTINGS
    assert set(WATCHED) <= {name for name, in watched}
    assert {"events_statements_current", "events_statements_history", "events_statements_history_long",
            "statements_digest"} <= {name for name, in kept}
    assert lost == []
    assert answer["usage"] - answer.get("stats", {}).get("inactive_file", 0) < MOST_IDLE
    assert RECIPE.product(spec.endpoint, spec.credentials).fidelity is Fidelity.GENUINE


@pytest.mark.docker
@pytest.mark.slow
def test_the_image_makes_what_the_official_one_makes(api: Any, run: Run, tmp_path: Path) -> None:
    """Whatever stands in names and passwords; statements of a folder come last, in the database."""
    (tmp_path / "first.sql").write_text("CREATE TABLE there (\n  n int -- a line\n);\nINSERT INTO there VALUES (7);")
    secret = """pa'ss\\wo"rd"""
    container, port = run(
        {"MYSQL_ROOT_PASSWORD": secret, "MYSQL_DATABASE": "my_shop", "MYSQL_USER": "o'neil", "MYSQL_PASSWORD": secret},
        binds=[f"{tmp_path}:/docker-entrypoint-initdb.d:ro"])
    assert query(api, container, port, "SELECT n FROM there", "o'neil", secret, database="my_shop") == [(7,)]
    assert query(api, container, port, "SELECT COUNT(*) FROM mysql.user WHERE user = 'root'", secret=secret) == [(2,)]
    assert ("labs_password_unset",) not in query(api, container, port, "SHOW DATABASES", secret=secret)
    for wrong in ("", "root"):
        with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
            query(api, container, port, "SELECT 1", secret=wrong)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        query(api, container, port, "SELECT 1", "o'neil", secret, database="myXshop")


@pytest.mark.docker
@pytest.mark.slow
def test_the_image_takes_a_password_once_and_wants_one(api: Any, run: Run) -> None:
    """Another password at a later start changes nothing; without any there is no start; it guards the socket, too."""
    container, port = run({"MYSQL_ROOT_PASSWORD": "pw"}, ["--max-connections=33"])
    assert query(api, container, port, "SELECT @@max_connections, @@datadir") == [(33, "/var/lib/mysql/")]
    api.restart(container)
    assert query(api, container, port, "SELECT 1") == [(1,)]
    order = api.exec_create(container, ["mysql", "-uroot", "-e", "SELECT 1"])
    assert b"Access denied" in api.exec_start(order)
    order = api.exec_create(container, ["ls", "/var/run/mysqld"])
    assert b"first-start.sql" not in api.exec_start(order)
    order = api.exec_create(container, ["stat", "-c", "%U", "/proc/1"])
    assert api.exec_start(order).strip() == b"mysql"

    refused, _ = run({})
    assert api.wait(refused)["StatusCode"] == 1
    assert "password" in str(RECIPE.advice(1, api.logs(refused).decode()))


@pytest.mark.docker
@pytest.mark.slow
def test_the_image_does_a_first_start_again_that_was_cut_short(api: Any, run: Run) -> None:
    """Killed at any moment of it, the next start has the password, and nobody was let in without one."""
    container, port = run({"MYSQL_ROOT_PASSWORD": "pw"}, tmpfs={"/var/lib/mysql": "size=400m"})
    assert query(api, container, port, "SELECT 1") == [(1,)]

    def said(container: str, what: bytes) -> bool:
        return what in api.logs(container)

    for moment in (b"MY-015015", b"MY-013576", b"MY-013577", b"MY-013602"):
        container, port = run({"MYSQL_ROOT_PASSWORD": "pw"})
        until(partial(said, container, moment), seconds=30)
        api.kill(container)
        api.start(container)
        assert query(api, container, port, "SHOW DATABASES LIKE 'labs%'") == []


def test_without_docker_it_is_said_to_be_missing(tmp_path: Path) -> None:
    """There is no program of it that could run: the message names what does help."""
    with contextlib.closing(engine_in(tmp_path)) as engine:
        offer = engine.offer(RECIPE)
    assert (offer.available, offer.reason) == (False, "unsupported")
    assert "Docker" in offer.remedy
