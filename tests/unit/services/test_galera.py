"""Galera's recipe, as far as no server is needed."""

from __future__ import annotations

import pytest
import yaml

from orchestrator import resources, services
from orchestrator.model import Endpoint, InstanceSpec, NotYet, Owner, Purpose
from orchestrator.services.galera.nodes import places
from orchestrator.services.galera.service import RECIPE
from orchestrator.services.places import container_of, files_of


def spec(purpose: Purpose, node: int = 1) -> InstanceSpec:
    owner = Owner("e", "0", "i", "l", 1, 1.0, purpose)
    return InstanceSpec("galera", "labs-e-galera", "e", "databases", owner, RECIPE.credentials(), 6000 + node, True, "c",
                        node=node, node_ports=(6001, 6002, 6003))


@pytest.mark.parametrize(("purpose", "durable"), [("environment", True), ("judge", False)])
def test_a_judge_instance_need_not_outlive_a_power_cut(purpose: Purpose, durable: bool) -> None:
    """The learner's own does; neither loses by a kill what was committed (2: written at once, synced later)."""
    container = container_of(RECIPE, RECIPE.variables(spec(purpose)))
    assert ("--innodb-flush-log-at-trx-commit=1" in (container.command or ())) == durable
    assert ("--innodb-doublewrite=ON" in (container.command or ())) == durable


def test_each_node_knows_its_number_and_all_others() -> None:
    """By hand, without `labs`, there are no others."""
    container = container_of(RECIPE, RECIPE.variables(spec("judge", node=2)))
    assert (container.environment["GALERA_NODE"], container.environment["GALERA_NODES"]) == ("2", "node-1 node-2 node-3")
    assert container.ports == {"": 3306}
    text = yaml.safe_load((resources.compose_folder() / "galera.yaml").read_text())
    assert text["services"]["galera"]["environment"]["GALERA_NODES"] == "${LABS_GALERA_NODES:-node-1}"


def test_a_server_is_told_where_all_nodes_are() -> None:
    """The first by a variable of its own, as simple clients want it; through the links, where there are some."""
    own = spec("environment")
    given = RECIPE.environment(own.endpoint, own.credentials)
    urls = [f"mysql://{own.credentials.user}:{own.credentials.password}@127.0.0.1:{port}/app" for port in own.node_ports]
    assert given == {"GALERA_URL": urls[0], "GALERA_URLS": ",".join(urls)}
    assert own.credentials.admin_password not in str(given)

    linked = Endpoint(7001, others={"node-2": 7002, "node-3": 7003})
    assert [place.port for place in places(linked)] == [7001, 7002, 7003]
    assert [place.port for place in places(Endpoint(7001))] == [7001]


def test_a_node_that_does_not_answer_is_named() -> None:
    own = spec("environment")
    said = RECIPE.probe(Endpoint(1), own.credentials)
    assert isinstance(said, NotYet)
    assert said.why.startswith("node 1: ")


def test_what_it_shares_belongs_to_it() -> None:
    """A proof is made again when it changes, for every service that may use it."""
    for service in ("galera", "mysql"):
        names = {path.name for path in files_of(services.recipe(service))}
        assert {"accounts.py", "wire.py", f"{service}.yaml", "service.py"} <= names


@pytest.mark.parametrize(("code", "log", "word"), [
    (1, "[ERROR] Can't start server: Bind on TCP/IP port. Got error: 98: Address already in use", "port"),
    (1, "[ERROR] mariadbd: Disk is full writing './x' (Errcode: 28 \"No space left on device\")", "disk"),
    (None, "waiting for node 2 and node 3", "away"),
    (1, "[ERROR] WSREP: failed to open gcomm backend connection: 110: failed to reach primary view", "others"),
    (139, "[ERROR] WSREP: Application state transfer failed. This is unrecoverable condition, restart required.", "data"),
    (1, "[ERROR] InnoDB: Upgrade after a crash is not supported. The redo log was created with MySQL 5.7", "version"),
    (1, "[ERROR] InnoDB: Database page corruption on disk", "damaged"),
    (7, "[ERROR] /usr/sbin/mariadbd: unknown variable 'nonsense=1'", "settings"),
    (1, "Error: MARIADB_ROOT_PASSWORD must be set to the password of root", "password"),
    (1, "[ERROR] InnoDB: Cannot allocate memory for the buffer pool", "memory"),
    (137, "", "memory"),
])
def test_known_failures_come_with_a_cause_and_a_command(code: int | None, log: str, word: str) -> None:
    """What people meet most is translated; every advice names a command."""
    advice = RECIPE.advice(code, log)
    assert advice is not None
    assert word in advice
    assert "labs" in advice or "close other programs" in advice
