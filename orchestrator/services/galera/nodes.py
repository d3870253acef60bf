"""The nodes of a Galera cluster: where each is, and what it says of itself and of the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.model import Credentials, Endpoint, NotYet, Probe, Ready
from orchestrator.services.mysql_kin import clients

if TYPE_CHECKING:
    from pymysql.connections import Connection

TITLE = "Galera"
_STATUS = "SHOW GLOBAL STATUS WHERE variable_name IN" \
          " ('wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_ready', 'wsrep_local_state_comment')"


def places(endpoint: Endpoint) -> list[Endpoint]:
    """Where all nodes are, in their order; the only one, of a cluster of one."""
    further = [name for name in endpoint.others if name.startswith("node-") and name != "node-1"]
    return [endpoint, *(endpoint.at(name) for name in sorted(further))]


@contextmanager
def administrators(endpoint: Endpoint, credentials: Credentials) -> Iterator[list[Connection[Any]]]:
    """The administrator's connections to all nodes, in their order. See ``clients.admin``."""
    with ExitStack() as stack:
        yield [stack.enter_context(clients.admin(place, credentials, title=TITLE)) for place in places(endpoint)]


@contextmanager
def alone(connection: Connection[Any]) -> Iterator[None]:
    """What is done in the block this node does, and no other."""
    clients.rows(connection, "SET SESSION wsrep_on = OFF")
    try:
        yield
    finally:
        clients.rows(connection, "SET SESSION wsrep_on = ON")


def belonging(size: int, connection: Connection[Any]) -> Probe:
    """Whether this node is one of so many that are together and have the same data."""
    said = dict(clients.rows(connection, _STATUS))
    if said["wsrep_cluster_status"] != "Primary":
        return NotYet("it is not with most of the others")
    if int(said["wsrep_cluster_size"]) != size:
        return NotYet(f"it sees {said['wsrep_cluster_size']} of {size} nodes")
    if said["wsrep_ready"] != "ON" or said["wsrep_local_state_comment"] != "Synced":
        return NotYet(f"it is {said['wsrep_local_state_comment'].lower()}")
    catch_up(connection)  # one that has just been frozen still believes what it believed before
    return Ready()


def catch_up(connection: Connection[Any]) -> None:
    """Returns when this node has all that the cluster agreed on before; ``pymysql``'s error where it is away."""
    clients.rows(connection, "SET SESSION wsrep_sync_wait = 15")
    clients.rows(connection, "SELECT 1 FROM mysql.global_priv LIMIT 1")
