"""Galera: three nodes of MariaDB that hold the same tables, each of which reads and writes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from orchestrator.model import Credentials, Endpoint, Fidelity, InstanceSpec, NotYet, Probe, Product, Ready
from orchestrator.services.clients import ClientProgram, client_programs, known_failure
from orchestrator.services.galera import nodes, space
from orchestrator.services.galera.failures import FAILURES
from orchestrator.services.mysql_kin import clients
from orchestrator.services.mysql_kin.recipe import MysqlKin

PROBE_SECONDS = 0.3
"""For each node."""


class GaleraRecipe(MysqlKin):
    """See ``Recipe``. Each node runs in a container: there is no program of it to be had."""

    name = "galera"
    title = nodes.TITLE
    port = 3306
    nodes = 3
    compose = "galera.yaml"
    memory = 150_000_000
    urls = ("GALERA_URL",)

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        # A judge instance need not outlive a power cut, only kills: those lose nothing that was written.
        judge = spec.owner.purpose == "judge"
        return {
            "LABS_GALERA_PORT": str(spec.port),
            "LABS_GALERA_ADMIN_PASSWORD": spec.credentials.admin_password,
            "LABS_GALERA_FLUSH": "2" if judge else "1",
            "LABS_GALERA_DOUBLEWRITE": "OFF" if judge else "ON",
            "LABS_GALERA_NODE": str(spec.node),
            "LABS_GALERA_NODES": " ".join(spec.node_hosts) or "node-1",
        }

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        """As the administrator, of each node: ready when all are together."""
        places = nodes.places(endpoint)
        for number, place in enumerate(places, 1):
            answer = clients.let_in(place, credentials, PROBE_SECONDS, partial(nodes.belonging, len(places)))
            if isinstance(answer, NotYet):
                return NotYet(f"node {number}: {answer.why}")
            if not isinstance(answer, Ready):
                return answer
        return Ready()

    def prepare(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with nodes.administrators(endpoint, credentials) as connections:
            space.prepare(connections, endpoint, credentials)

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with nodes.administrators(endpoint, credentials) as connections:
            space.fresh(connections, endpoint, credentials)

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:
        with clients.judged(endpoint, self.title), self._checker(endpoint, credentials) as connection:
            space.clear(connection, credentials, spare)

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        with clients.admin(endpoint, credentials, title=self.title) as connection:
            said = clients.rows(connection, "SELECT VERSION()")[0][0]
        number = re.match(r"\d+(?:\.\d+)*", str(said))
        return Product("MariaDB with Galera", number[0] if number else str(said), Fidelity.GENUINE)

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        """Of each node: its name for this run, and the second in which it was started.

        Both times of the subtraction are those of this statement's beginning, so that the result never wavers.
        """
        with nodes.administrators(endpoint, credentials) as connections:
            for connection in connections:
                clients.rows(connection, "SET SESSION wsrep_dirty_reads = ON")  # also of one that is without the others
            return " ".join(" ".join(map(str, clients.rows(
                connection, "SELECT UNIX_TIMESTAMP() - CAST(variable_value AS UNSIGNED), (SELECT variable_value FROM"
                            " information_schema.global_status WHERE variable_name = 'WSREP_GCOMM_UUID')"
                            " FROM information_schema.global_status WHERE variable_name = 'UPTIME'")[0]))
                for connection in connections)

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        """``GALERA_URL`` is the first node's, ``GALERA_URLS`` those of all, with commas between."""
        urls = [clients.url(place, credentials.user, credentials.password, credentials.database)
                for place in nodes.places(endpoint)]
        return {"GALERA_URL": urls[0], "GALERA_URLS": ",".join(urls)}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, object]:
        """Of the first node, and ``nodes``: the addresses of all."""
        return {**super().admin(endpoint, credentials), "nodes": [str(place) for place in nodes.places(endpoint)]}

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:
        """``mariadb``, if it is on PATH, on the first node."""
        words = ("--no-defaults", "--protocol=TCP", "--skip-ssl", "--host", endpoint.host, "--port", str(endpoint.port),
                 "--user", credentials.user, credentials.database)
        ends = () if statement is None else ("--table", "--execute", statement)
        return [ClientProgram((program, *words, *ends), {"MYSQL_PWD": credentials.password})
                for program in client_programs(("mariadb",), None)]

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return known_failure(FAILURES, exit_code, log)


RECIPE = GaleraRecipe()
