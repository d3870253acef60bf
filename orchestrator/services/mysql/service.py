"""MySQL: the other database of tables, which compares without case and accents and locks what it reads for writing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.model import (
    Credentials,
    Endpoint,
    Fidelity,
    InstanceSpec,
    Probe,
    Product,
)
from orchestrator.services.clients import ClientProgram, known_failure
from orchestrator.services.mysql import space
from orchestrator.services.mysql.failures import FAILURES
from orchestrator.services.mysql_kin import clients
from orchestrator.services.mysql_kin.recipe import MysqlKin

if TYPE_CHECKING:
    from orchestrator.services.mysql.record import MysqlRecorder

PROBE_SECONDS = 0.8


class MysqlRecipe(MysqlKin):
    """See ``Recipe``. It runs in a container alone: there is no program of it to be had."""

    name = "mysql"
    title = "MySQL"
    port = 3306
    compose = "mysql.yaml"
    memory = 260_000_000
    download = 240_000_000
    urls = ("MYSQL_URL",)

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        # A judge instance need not outlive a power cut, only kills: those lose nothing that was written.
        judge = spec.owner.purpose == "judge"
        return {
            "LABS_MYSQL_PORT": str(spec.port),
            "LABS_MYSQL_ADMIN_PASSWORD": spec.credentials.admin_password,
            "LABS_MYSQL_FLUSH": "2" if judge else "1",
            "LABS_MYSQL_DOUBLEWRITE": "OFF" if judge else "ON",
        }

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        """As the administrator: the learner may not be there yet, and its counters must not move."""
        return clients.let_in(endpoint, credentials, PROBE_SECONDS)

    def prepare(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with clients.admin(endpoint, credentials) as connection:
            space.prepare(connection, endpoint, credentials)

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with clients.admin(endpoint, credentials) as connection:
            space.fresh(connection, endpoint, credentials)

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:
        with clients.judged(endpoint, self.title), self._checker(endpoint, credentials) as connection:
            space.clear(connection, credentials, spare)

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        with clients.admin(endpoint, credentials) as connection:
            said = clients.rows(connection, "SELECT @@version, @@version_comment")
            # A variable of InnoDB's alone, with MySQL's own version: look-alikes have not got it.
            engine = clients.rows(connection, "SHOW GLOBAL VARIABLES LIKE 'innodb_version'")
        return product_of(*map(str, said[0]), engine=str(engine[0][1]) if engine else "")

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        """The server's id, which its data keeps; the second in which it was started, and the moment it was ready.

        Both times of the subtraction are those of this statement's beginning, so that the result never wavers.
        """
        with clients.admin(endpoint, credentials) as connection:
            row = clients.rows(
                connection, "SELECT @@server_uuid, UNIX_TIMESTAMP() - CAST(variable_value AS UNSIGNED),"
                            " (SELECT MAX(logged) FROM performance_schema.error_log WHERE error_code = 'MY-010931')"
                            " FROM performance_schema.global_status WHERE variable_name = 'Uptime'")[0]
        return " ".join(map(str, row))

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {
            "MYSQL_URL": clients.url(endpoint, credentials.user, credentials.password, credentials.database),
            "MYSQL_HOST": endpoint.host,
            "MYSQL_TCP_PORT": str(endpoint.port),
            "MYSQL_USER": credentials.user,
            "MYSQL_PWD": credentials.password,
            "MYSQL_DATABASE": credentials.database,
        }

    def record(self, endpoint: Endpoint, credentials: Credentials) -> MysqlRecorder:
        from orchestrator.services.mysql.record import MysqlRecorder

        return MysqlRecorder(lambda: clients.admin(endpoint, credentials),
                             lambda: self.incarnation(endpoint, credentials))

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:
        """``mysql``, if MySQL's own is on PATH."""
        from orchestrator.services.mysql.client import programs

        words = ("--host", endpoint.host, "--port", str(endpoint.port), "--user", credentials.user)
        return programs((*words, credentials.database), credentials.password, statement)

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return known_failure(FAILURES, exit_code, log)


RECIPE = MysqlRecipe()


def product_of(version: str, comment: str, *, engine: str) -> Product:
    """What runs, from ``version`` (``8.4.3``, ``9.7.4-2``), ``version_comment`` and ``innodb_version``."""
    number = re.match(r"\d+(?:\.\d+)*", version)
    plain = number[0] if number else version
    said = f"{version} {comment}".lower()
    if "mariadb" in said:
        return Product("MariaDB", plain, Fidelity.COMPATIBLE)
    if "percona" in said:
        return Product("Percona Server", plain, Fidelity.COMPATIBLE)
    other = re.search(r"tidb|oceanbase|vitess|dolt|singlestore|memsql|aurora|starrocks|doris|rds", said)
    if engine == plain and not other:
        return Product("MySQL", plain, Fidelity.GENUINE)
    return Product("A look-alike of MySQL", plain, Fidelity.STAND_IN)
