"""What MySQL's folder decides without a service: the container's settings, products, sabotage, names, the greeting."""

from __future__ import annotations

import ast
import re
import socket
import threading
from typing import Any

import pytest
import yaml

from orchestrator import resources, services
from orchestrator.errors import EnvironmentFault
from orchestrator.lint.check_files import CheckFile
from orchestrator.lint.texts import texts
from orchestrator.model import Endpoint, Fidelity, InstanceSpec, Owner, Purpose
from orchestrator.services.mysql import sabotage
from orchestrator.services.mysql.names import NAMES
from orchestrator.services.mysql.service import RECIPE, product_of
from orchestrator.services.mysql_kin import clients


def spec(purpose: Purpose) -> InstanceSpec:
    owner = Owner("e", "0", "i", "l", 1, 1.0, purpose)
    return InstanceSpec("mysql", "labs-e-mysql", "e", "databases", owner, RECIPE.credentials(), 6000, True, "c")


@pytest.mark.parametrize(("purpose", "durable"), [("environment", True), ("judge", False)])
def test_a_judge_instance_need_not_outlive_a_power_cut(purpose: Purpose, durable: bool) -> None:
    """The learner's own does; neither loses by a kill what was committed (2: written at once, synced later)."""
    own = spec(purpose)
    variables = dict(RECIPE.variables(own))
    container: dict[str, Any] = yaml.safe_load(
        (resources.compose_folder() / "mysql.yaml").read_text())["services"]["mysql"]
    text = str(container)
    filled = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text)
    assert ("--innodb-flush-log-at-trx-commit=1'" in filled) == durable
    assert ("--innodb-flush-log-at-trx-commit=2'" in filled) != durable
    assert ("--innodb-doublewrite=ON'" in filled) == durable
    assert f"127.0.0.1:{own.port}:3306" in filled


@pytest.mark.parametrize(("said", "product"), [
    (("8.4.6", "MySQL Community Server - GPL", "8.4.6"), ("MySQL", "8.4.6", Fidelity.GENUINE)),
    (("9.7.4-2", "(Debian)", "9.7.4"), ("MySQL", "9.7.4", Fidelity.GENUINE)),
    (("11.8.9-MariaDB-deb13", "Debian n/a", "11.8.9"), ("MariaDB", "11.8.9", Fidelity.COMPATIBLE)),
    (("8.4.6-6", "Percona Server (GPL), Release 6", "8.4.6-6"), ("Percona Server", "8.4.6", Fidelity.COMPATIBLE)),
    (("8.0.11-TiDB-v8.5.1", "TiDB Server (Apache License 2.0)", "8.0.11"),
     ("A look-alike of MySQL", "8.0.11", Fidelity.STAND_IN)),
    (("8.0.33", "Dolt", ""), ("A look-alike of MySQL", "8.0.33", Fidelity.STAND_IN)),
])
def test_forks_and_look_alikes_are_told_apart(said: tuple[str, str, str], product: tuple[str, str, Fidelity]) -> None:
    version, comment, engine = said
    found = product_of(version, comment, engine=engine)
    assert (found.name, found.version, found.fidelity) == product


def test_it_runs_in_a_container_alone() -> None:
    assert RECIPE.programs == ()
    assert RECIPE.wheel() is None


def test_a_sabotage_is_found_in_the_statements_that_write() -> None:
    found = sabotage.possible([
        "INSERT INTO `orders` (n) VALUES (?)", "INSERT IGNORE INTO buyers VALUES (?)", "UPDATE events SET left = ?",
        "SELECT * FROM tickets", "REPLACE INTO holds VALUES (?)"])
    assert found == [sabotage.GONE.format(name) for name in ("buyers", "events", "holds", "orders")]
    with pytest.raises(ValueError, match="not a sabotage"):
        sabotage.begin({}, "DROP TABLE orders")


def test_the_names_in_a_check_are_tables_and_columns() -> None:
    """As for PostgreSQL, in MySQL's dialect: backticks, LIMIT with a comma."""
    code = 'def test_it(mysql):\n    mysql.rows("SELECT `id` FROM `orders` LIMIT 1, 2")\n'
    file = CheckFile("test_x.py", ast.parse(code))
    found = {(one.kind, one.text) for one in texts(file, {"mysql": NAMES})}
    assert ("sql", "SELECT `id` FROM `orders` LIMIT 1, 2") in found
    assert NAMES.dialect == "mysql"


@pytest.mark.parametrize(("statement", "rule"), [
    ("SELECT * FROM app.orders", "hands-touch"), ("DELETE FROM `app` . orders", "hands-touch"),
    ("SET GLOBAL max_connections = 1", "hands-settings"), ("SET @@global.sql_mode = ''", "hands-settings"),
    ("SET PERSIST sql_mode = ''", "hands-settings"), ("SELECT * FROM performance_schema.threads", ""),
    ("SHOW GLOBAL STATUS", ""), ("SET SESSION max_execution_time = 1", ""),
])
def test_what_the_administrator_of_a_check_must_not_do(statement: str, rule: str) -> None:
    found = [one.id for one in NAMES.hands if re.search(one.pattern, statement, re.IGNORECASE)]
    assert found == ([rule] if rule else [])


@pytest.mark.parametrize("said", [
    b"HTTP/1.1 400 Bad Request\r\n\0", b"", b"\x1e\0\0\0\xff\x10\x04Too many connections\0"])
def test_a_greeting_that_is_none_is_not_taken_for_one(said: bytes) -> None:
    """Whoever listens there: it is not MySQL, or it lets nobody in."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            taken, _ = listener.accept()
            with taken:
                taken.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectionError):
            clients.greeted(Endpoint(listener.getsockname()[1]), 2)
        thread.join()


@pytest.mark.parametrize(("number", "code"), [
    (1040, ""), (1053, ""), (1021, "disk-full"), (1227, "service-refused"), (2013, "")])
def test_errors_of_the_driver_are_said_as_ours(number: int, code: str) -> None:
    """Down is ``ConnectionError``, which says nothing about the learner; a refusal is told with MySQL's own words."""
    from pymysql.err import OperationalError

    wanted: type[Exception] = EnvironmentFault if code else ConnectionError
    with pytest.raises(wanted, match=r"MySQL .*in its own words") as caught, clients.judged(Endpoint(1)):
        raise OperationalError(number, "in its own words")
    assert getattr(caught.value, "code", "") == code


def test_a_persons_own_settings_do_not_lead_elsewhere() -> None:
    assert {"MYSQL_HOST", "MYSQL_TCP_PORT", "MYSQL_PWD", "MYSQL_UNIX_PORT"} <= services.recipe("mysql").foreign


@pytest.mark.parametrize(("code", "log", "word"), [
    (1, "[ERROR] [MY-010262] [Server] Can't start server: Bind on TCP/IP port: Address already in use", "port"),
    (1, "[ERROR] [MY-014060] [Server] Invalid MySQL server downgrade: Cannot downgrade from 90704 to 80408. "
         "Downgrade is only permitted between patch releases.\n[ERROR] [MY-010020] [Server] Data Dictionary "
         "initialization failed.", "version"),
    (1, "[ERROR] [MY-012644] [InnoDB] Encountered a problem with file './x': No space left on device", "disk"),
    (1, "[ERROR] [MY-012574] [InnoDB] Unable to lock ./ibdata1 error: 11", "Another MySQL"),
    (1, "[ERROR] [MY-012271] [InnoDB] The innodb_system data file 'ibdata1' must be writable\n"
         "[ERROR] [MY-010334] [Server] Failed to initialize DD Storage Engine", "folder"),
    (1, "[ERROR] [MY-010457] [Server] --initialize specified but the data directory has files in it. "
         "Aborting.", "something else"),
    (1, "[ERROR] [MY-010020] [Server] Data Dictionary initialization failed.", "damaged"),
    (1, "[ERROR] [MY-000067] [Server] unknown variable 'nonsense=1'.", "settings"),
    (1, "Error: MYSQL_ROOT_PASSWORD must be set to the password of root", "password"),
    (1, "[ERROR] [MY-012681] [InnoDB] Cannot allocate memory for the buffer pool", "memory"),
    (137, "", "memory"),
])
def test_known_failures_come_with_a_cause_and_a_command(code: int, log: str, word: str) -> None:
    """What people meet most is translated; every advice names a command."""
    advice = RECIPE.advice(code, log)
    assert advice is not None
    assert word in advice
    assert "labs" in advice
