"""Services in containers that no engine of ours has started: by testcontainers, as each image's own manual has it.

What a recipe promises holds for its service, not for how we start it: the tests of recipes and evidence run on these,
too (``tests/services/conftest.py``). A new service is one function in ``CONTAINERS``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator import services
from orchestrator.model import Credentials, Endpoint, Ready
from orchestrator.system.ports import free_port
from support.services import Service

DEADLINE = 60.0


@dataclass(frozen=True)
class Wanted:
    """What a person writes behind ``docker run`` for a service that is to be judged: arguments and variables."""

    arguments: Sequence[str] = ()
    variables: dict[str, str] = field(default_factory=dict)


def postgres(own: Credentials) -> Wanted:
    """Two libraries, a log in files that can be asked for, and connections that nobody else can take."""
    settings = {
        "shared_preload_libraries": "pg_stat_statements,auto_explain", "pg_stat_statements.track": "top",
        "superuser_reserved_connections": "5", "reserved_connections": "5", "timezone": "UTC", "log_timezone": "UTC",
        "logging_collector": "on", "log_destination": "stderr,jsonlog", "log_directory": "log",
        "log_filename": "postgresql.log", "log_rotation_age": "0", "log_rotation_size": "0",
    }
    arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return Wanted(arguments, {"POSTGRES_USER": own.admin_user, "POSTGRES_PASSWORD": own.admin_password})


def redis(own: Credentials) -> Wanted:
    """Users from the first moment on: one who may do everything, and the learner."""
    users = {
        "default": "reset off ~* &* +@all",
        own.admin_user: f"reset on >{own.admin_password} ~* &* +@all",
        own.user: f"reset on >{own.password} ~* &* +@all -@admin -@dangerous +info +keys +sort +role +flushdb +client|list",
    }
    arguments = [word for name, rules in users.items() for word in ("--user", name, *rules.split())]
    return Wanted(["redis-server", "--save", "", "--appendonly", "yes", "--maxmemory", "160mb", *arguments])


def mongodb(own: Credentials) -> Wanted:
    """A replica set, which with users needs a key of its own in a file of the server's; every operation is recorded."""
    start = ("umask 077 && mkdir -p /run/own && printf anyKeyOfTheirOwn > /run/own/key && chown -R mongodb /run/own && "
             "exec docker-entrypoint.sh mongod --replSet rs0 --keyFile /run/own/key --profile 1 --slowms 0")
    return Wanted(["sh", "-c", start],
                  {"MONGO_INITDB_ROOT_USERNAME": own.admin_user, "MONGO_INITDB_ROOT_PASSWORD": own.admin_password})


def elasticsearch(own: Credentials) -> Wanted:
    """One node, for little data, without logins; a disk that is nearly full is none of its business."""
    return Wanted((), {
        "discovery.type": "single-node", "cluster.routing.allocation.disk.threshold_enabled": "false",
        "xpack.security.enabled": "false", "node.store.allow_mmap": "false",
        "ES_JAVA_OPTS": "-Xms256m -Xmx512m -XX:-UseG1GC -XX:+UseSerialGC -XX:TieredStopAtLevel=1"})


def mysql(own: Credentials) -> Wanted:
    """Times of day without a zone, no copy of what is written, and a password of the administrator's."""
    return Wanted(["mysqld", "--default-time-zone=+00:00", "--skip-log-bin", "--mysqlx=OFF", "--innodb-monitor-enable=trx_rw_commits",
                   "--performance-schema-consumer-events-statements-history-long=ON"],
                  {"MYSQL_ROOT_PASSWORD": own.admin_password})


def galera(own: Credentials) -> Wanted:
    """A cluster of one node, with times of day without a zone and a performance schema that looks at sessions."""
    return Wanted(["mariadbd", "--default-time-zone=+00:00", "--skip-ssl", "--performance-schema=ON",
                   "--performance-schema-consumer-events-statements-history-long=ON"],
                  {"MARIADB_ROOT_PASSWORD": own.admin_password})


CONTAINERS: dict[str, Callable[[Credentials], Wanted]] = {
    "elasticsearch": elasticsearch, "galera": galera, "mongodb": mongodb, "mysql": mysql, "postgres": postgres,
    "redis": redis}


@contextmanager
def running_container(name: str, image_table: Path) -> Iterator[Service]:
    """The service in a container of the image that is here for it, ready and prepared; removed in the end."""
    from orchestrator.engines.docker.engine import DockerEngine

    recipe = services.recipe(name)
    with closing(DockerEngine.connect(image_table)) as engine:
        address, image = engine.info().address, engine.offer(recipe).expected
    own, port = recipe.credentials(), free_port()
    wanted = CONTAINERS[name](own)
    service = Service(recipe, Endpoint(port), own)
    with pytest.MonkeyPatch.context() as patch:
        # Our engine may be one that testcontainers would not find, and there may be no registry to get its own clean-up
        # container from.
        patch.setenv("DOCKER_HOST", address)
        patch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(image, env=dict(wanted.variables)).with_command(list(wanted.arguments))
        container.ports[str(recipe.port)] = ("127.0.0.1", port)  # its own method would publish to the whole network
        container.start()
    wrapped = container.get_wrapped_container()

    def ready() -> None:
        end = time.monotonic() + DEADLINE
        while not isinstance(answer := recipe.probe(service.endpoint, own), Ready):
            wrapped.reload()
            assert wrapped.status == "running", wrapped.logs().decode()
            assert time.monotonic() < end, answer
            time.sleep(0.01)
        recipe.prepare(service.endpoint, own)

    def restart() -> None:
        wrapped.restart()
        ready()

    service.restart = restart
    try:
        ready()
        yield service
    finally:
        container.stop()
