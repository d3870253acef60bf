"""What the recipes of servers of MySQL's kind have in common: accounts, tables that have rows, ears, the console."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from orchestrator.model import Credentials, Endpoint
from orchestrator.services.base import DATABASE, Ear, Recipe
from orchestrator.services.clients import learner_name, password
from orchestrator.services.mysql_kin import accounts, clients

if TYPE_CHECKING:
    from pymysql.connections import Connection


class MysqlKin(Recipe):
    """See ``Recipe``."""

    foreign = frozenset(clients.VARIABLES)

    def credentials(self) -> Credentials:
        return Credentials("root", password(), learner_name(), password(), DATABASE)

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:
        with clients.judged(endpoint, self.title), self._checker(endpoint, credentials) as connection:
            return accounts.filled_tables(connection, credentials)

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, object]:
        """``checker_url``: in the learner's database; ``witness_url`` and ``admin_url``: beside it."""
        secret = credentials.admin_password
        return {
            "admin_url": clients.url(endpoint, credentials.admin_user, secret, clients.ADMIN_DATABASE),
            "checker_url": clients.url(endpoint, accounts.checker_name(credentials), secret, credentials.database),
            "witness_url": clients.url(endpoint, accounts.witness_name(credentials), secret, "performance_schema"),
            "user": credentials.user,
            "database": credentials.database,
        }

    def ears(self) -> Callable[[bool], Ear]:
        from orchestrator.services.mysql_kin.wire import MysqlEar

        return lambda new: MysqlEar(new=new)

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        from orchestrator.services.mysql_kin.console import run

        return run(endpoint, credentials, statement, self.title)

    @staticmethod
    def _checker(endpoint: Endpoint, credentials: Credentials) -> AbstractContextManager[Connection[Any]]:
        return clients.connected(endpoint, accounts.checker_name(credentials), credentials.admin_password,
                                 credentials.database, clients.ADMIN_SECONDS)
