"""Galera from our Compose file on the Docker engine: three nodes of one cluster, killed, stopped, alone and together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pymysql
import pytest
from support.bench import Bench, found
from support.embedded import engine_in
from support.wait import until

from orchestrator.engines.docker.engine import DockerEngine
from orchestrator.environments.readiness import wait_ready
from orchestrator.errors import UsageError
from orchestrator.model import InstanceSpec, NotYet, State
from orchestrator.services.galera import nodes, space
from orchestrator.services.galera.service import RECIPE
from orchestrator.services.mysql_kin.clients import rows

MOST_IDLE = 200_000_000
"""Bytes of one node: what the recipe says that it needs, and a little."""


class Cluster:
    """Three nodes, ready."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.nodes = bench.nodes("galera")
        self.own = self.nodes[0].credentials
        for node in self.nodes:
            bench.created(node)
        self.each("start")
        self.ready()
        RECIPE.prepare(self.endpoint, self.own)

    @property
    def endpoint(self) -> Any:
        return self.nodes[0].endpoint

    def each(self, what: str, chosen: Sequence[InstanceSpec] | None = None) -> None:
        """Side by side, as people's computers do it when they end."""
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda spec: getattr(self.bench.engine, what)(spec.name), chosen or self.nodes))

    def ready(self) -> None:
        wait_ready(self.bench.engine, RECIPE, self.nodes[0], nodes=[spec.name for spec in self.nodes])

    def ask(self, statement: str, node: int = 1) -> str:
        return RECIPE.run_statement(nodes.places(self.endpoint)[node - 1], self.own, statement)

    @contextlib.contextmanager
    def session(self, node: int) -> Iterator[pymysql.Connection[Any]]:
        """The learner's, not in autocommit."""
        with contextlib.closing(pymysql.connect(
                host="127.0.0.1", port=self.nodes[node - 1].port, user=self.own.user, password=self.own.password,
                database=self.own.database, ssl_disabled=True)) as connection:
            yield connection


@pytest.fixture(scope="module")
def cluster(docker: DockerEngine) -> Iterator[Cluster]:
    """One for all: each test leaves it together and says what tables it wants."""
    bench = Bench(docker)
    try:
        yield Cluster(bench)
    finally:
        bench.clear()


@pytest.fixture
def empty(cluster: Cluster) -> Cluster:
    RECIPE.fresh(cluster.endpoint, cluster.own)
    cluster.ask("CREATE TABLE kept (id bigint PRIMARY KEY AUTO_INCREMENT, n int)")
    return cluster


@pytest.mark.docker
@pytest.mark.slow
def test_all_nodes_have_the_same(empty: Cluster) -> None:
    """Written at any, read at any; who reads after somebody else wrote can ask to wait for it."""
    for node in (1, 2, 3):
        empty.ask(f"INSERT INTO kept (n) VALUES ({node})", node)

    for node in (1, 2, 3):
        assert "1\n2\n3\n(3 rows)" in empty.ask("SET SESSION wsrep_sync_wait = 1; SELECT n FROM kept ORDER BY n", node)


@pytest.mark.docker
@pytest.mark.slow
def test_of_two_changes_of_a_row_at_two_nodes_one_fails(empty: Cluster) -> None:
    """Neither waits for the other; the second COMMIT is refused as a deadlock, and nothing of it stays."""
    empty.ask("INSERT INTO kept (n) VALUES (0)")
    with empty.session(1) as one, empty.session(2) as other:
        rows(other, "SET SESSION wsrep_sync_wait = 1")
        for connection in (one, other):
            rows(connection, "UPDATE kept SET n = n + 1")
        one.commit()
        with pytest.raises(pymysql.err.OperationalError) as caught:
            other.commit()

    assert caught.value.args[0] == 1213
    assert empty.ask("SELECT n FROM kept") == "n\n-\n1\n(1 row)"


@pytest.mark.docker
@pytest.mark.slow
def test_one_node_may_die(empty: Cluster) -> None:
    """By SIGKILL: the others go on and lose nothing that was committed; it comes back and has all."""
    before = RECIPE.incarnation(empty.endpoint, empty.own)
    empty.ask("INSERT INTO kept (n) VALUES (1)", 3)
    empty.each("kill", empty.nodes[2:])
    assert found(empty.bench, empty.nodes[2]).state is State.EXITED

    empty.ask("INSERT INTO kept (n) VALUES (2)")
    empty.ask("INSERT INTO kept (n) VALUES (3)", 2)
    said = RECIPE.probe(empty.endpoint, empty.own)
    assert isinstance(said, NotYet)
    assert said.why.endswith("it sees 2 of 3 nodes")
    empty.each("start", empty.nodes[2:])
    empty.ready()

    assert "1\n2\n3\n(3 rows)" in empty.ask("SELECT n FROM kept ORDER BY n", 3)
    assert RECIPE.incarnation(empty.endpoint, empty.own) != before


@pytest.mark.docker
@pytest.mark.slow
def test_the_last_node_refuses_until_another_is_back(empty: Cluster) -> None:
    """Two of three gone: nothing is read or written at the third. With one more it goes on by itself."""
    empty.ask("INSERT INTO kept (n) VALUES (1)")
    empty.each("kill", empty.nodes[1:])

    def refused() -> list[str]:
        try:
            empty.ask("SELECT n FROM kept")
        except UsageError as error:
            return [error.message]
        return []

    assert "WSREP has not yet prepared node" in until(refused, seconds=20)[0]
    with pytest.raises(UsageError, match="WSREP has not yet prepared node"):
        empty.ask("INSERT INTO kept (n) VALUES (2)")
    with pytest.raises(ConnectionError):
        RECIPE.fresh(empty.endpoint, empty.own)
    empty.each("start", empty.nodes[1:])
    empty.ready()

    for node in (1, 2, 3):
        assert empty.ask("SELECT n FROM kept", node) == "n\n-\n1\n(1 row)"


@pytest.mark.docker
@pytest.mark.slow
def test_nodes_that_stood_still_find_each_other(empty: Cluster) -> None:
    """As after a computer's sleep. While they do not answer nothing says that they are ready; each is the same one."""
    before = RECIPE.incarnation(empty.endpoint, empty.own)
    empty.each("pause")
    assert isinstance(RECIPE.probe(empty.endpoint, empty.own), NotYet)
    empty.each("unpause", empty.nodes[:1])
    until(lambda: RECIPE.probe(empty.nodes[0].endpoint, empty.own) == NotYet(
        "node 1: it is not with most of the others"), seconds=20)
    empty.each("unpause", empty.nodes[1:])
    empty.ready()

    assert empty.ask("INSERT INTO kept (n) VALUES (1)", 3) == "OK, 1 row affected"
    assert RECIPE.incarnation(empty.endpoint, empty.own) == before


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_all_nodes_end_and_come_back(empty: Cluster, end: str) -> None:
    """At the same moment, whichever of them ended last: nobody says which one begins, and all is there."""
    empty.ask("INSERT INTO kept (n) VALUES (1), (2)")
    empty.each(end)
    if end == "stop":
        assert {found(empty.bench, spec).exit_code for spec in empty.nodes} == {0}
    empty.each("start")
    empty.ready()

    assert empty.ask("SELECT n FROM kept ORDER BY n", 2) == "n\n-\n1\n2\n(2 rows)"


@pytest.mark.docker
@pytest.mark.slow
def test_who_has_the_newest_data_begins(empty: Cluster) -> None:
    """Stopped one after the other: the last one has what the others have not, and is not the first to start."""
    empty.each("stop", empty.nodes[:1])
    empty.ask("INSERT INTO kept (n) VALUES (7)", 3)
    empty.each("stop", empty.nodes[1:2])
    empty.each("stop", empty.nodes[2:])
    empty.each("start")
    empty.ready()

    assert empty.ask("SELECT n FROM kept", 1) == "n\n-\n7\n(1 row)"


@pytest.mark.docker
@pytest.mark.slow
def test_it_is_as_new_on_every_node(empty: Cluster) -> None:
    """Emptied for the next attempt: no table, no session, whoever held one open and wherever."""
    with empty.session(2) as open_there:
        rows(open_there, "INSERT INTO kept (n) VALUES (1)")
        RECIPE.fresh(empty.endpoint, empty.own)
        with pytest.raises(pymysql.err.OperationalError):
            rows(open_there, "SELECT 1")

    for node in (1, 2, 3):
        assert empty.ask("SHOW TABLES", node).endswith("(0 rows)")
    with nodes.administrators(empty.endpoint, empty.own) as connections:
        for connection in connections:
            assert rows(connection, "SELECT user FROM performance_schema.setup_actors WHERE enabled = 'YES'") == [
                (empty.own.user,)]
            assert rows(connection, "SELECT COUNT(*) FROM mysql.global_priv WHERE host <> '%'") == [(1,)]


@pytest.mark.docker
@pytest.mark.slow
def test_it_is_emptied_under_sessions_that_go_on(empty: Cluster) -> None:
    with empty.session(3) as session:
        rows(session, "SELECT * FROM kept")
        session.commit()
        empty.ask("INSERT INTO kept (n) VALUES (1); CREATE TABLE other (n int PRIMARY KEY); INSERT INTO other VALUES (1)")
        assert RECIPE.contents(empty.endpoint, empty.own) == {"kept", "other"}

        RECIPE.clear(empty.endpoint, empty.own, spare={"other"})

        assert RECIPE.contents(empty.endpoint, empty.own) == {"other"}
        rows(session, "SET SESSION wsrep_sync_wait = 1")
        assert rows(session, "SELECT * FROM kept") == []


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("statement", [
    "SET SESSION wsrep_on = OFF", "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=1'", "SET SESSION sql_log_bin = 0",
    "SET GLOBAL max_connections = 7", "SELECT * FROM mysql.global_priv", "SELECT * FROM performance_schema.threads",
    "CREATE DATABASE more", "CREATE PROCEDURE p() SELECT 1", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    "CREATE USER more", "GRANT SELECT ON app.* TO root", "SHUTDOWN", "FLUSH TABLES WITH READ LOCK",
    "SELECT 1 INTO OUTFILE '/tmp/x'", "INSTALL SONAME 'x'",
])
def test_the_learner_may_do_what_a_server_needs_and_no_more(empty: Cluster, statement: str) -> None:
    with pytest.raises(UsageError, match=r"denied|not allowed"):
        empty.ask(statement)


@pytest.mark.docker
@pytest.mark.slow
def test_what_we_did_not_make_is_told(cluster: Cluster) -> None:
    """An account or a database of somebody else's: the cluster is made anew, not believed."""
    with nodes.administrators(cluster.endpoint, cluster.own) as connections:
        rows(connections[1], "CREATE USER stranger")
        rows(connections[2], "CREATE DATABASE more")
        with pytest.raises(Exception, match="the account stranger@%, the database more"):
            space.fresh(connections, cluster.endpoint, cluster.own)
        rows(connections[0], "DROP USER stranger")
        rows(connections[0], "DROP DATABASE more")
        rows(connections[0], f"GRANT CREATE ROUTINE ON app.* TO '{cluster.own.user}'@'%'")
    RECIPE.fresh(cluster.endpoint, cluster.own)
    with pytest.raises(UsageError, match="denied"):
        cluster.ask("CREATE PROCEDURE p() SELECT 1")


@pytest.mark.docker
@pytest.mark.slow
def test_the_compose_file_says_what_runs(cluster: Cluster, api: Any) -> None:
    """Each node is as small as we say, runs as its own user, and keeps no password where others could read it."""
    for node in cluster.nodes:
        answer = api.stats(node.name, stream=False)["memory_stats"]
        assert answer["usage"] - answer.get("stats", {}).get("inactive_file", 0) < MOST_IDLE
        order = api.exec_create(node.name, ["stat", "-c", "%U %a", "/proc/1", "/run/mysqld/start.sql"])
        assert api.exec_start(order).decode().split() == ["mysql", "555", "mysql", "600"]
    product = RECIPE.product(cluster.endpoint, cluster.own)
    assert (product.name, product.version.partition(".")[0]) == ("MariaDB with Galera", "11")


@pytest.mark.docker
@pytest.mark.slow
def test_one_node_alone_is_a_cluster(docker_bench: Bench) -> None:
    """As somebody runs the Compose file by hand; killed, it begins again by itself."""
    spec = docker_bench.up(docker_bench.spec("galera"))
    RECIPE.prepare(spec.endpoint, spec.credentials)
    RECIPE.run_statement(spec.endpoint, spec.credentials, "CREATE TABLE kept (n int PRIMARY KEY); INSERT INTO kept VALUES (1)")
    docker_bench.engine.kill(spec.name)
    docker_bench.start(spec)

    assert RECIPE.run_statement(spec.endpoint, spec.credentials, "SELECT n FROM kept") == "n\n-\n1\n(1 row)"


def test_without_docker_it_is_said_to_be_missing(tmp_path: Path) -> None:
    """There is no program of it that could run: the message names what does help."""
    with contextlib.closing(engine_in(tmp_path)) as engine:
        offer = engine.offer(RECIPE)
    assert (offer.available, offer.reason) == (False, "unsupported")
    assert "Docker" in offer.remedy
