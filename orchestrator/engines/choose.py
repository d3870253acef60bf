"""Which engine runs the services: the one asked for, else Docker if it answers, else plain processes.

Each comes with a place for the services that are files.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault, UsageError
from orchestrator.system.home import Home


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine, why it was chosen (for people), and the other engines that are at hand without effort.

    ``others`` is for sweeping: what a killed command left on another engine can go, too. The caller closes all.
    """

    engine: Engine
    reason: str
    others: tuple[Engine, ...] = ()


def choose(requested: str | None, *, home: Home) -> Choice:
    """Choose by ``requested`` (``--engine`` or ``LABS_ENGINE``: ``docker``, ``embedded``, or nothing).

    Raises ``EnvironmentFault("engine-unreachable")`` only if Docker was asked for and does not answer: then to run
    the services in another way than the learner said would be worse than to stop.
    """
    if requested not in (None, "", "docker", "embedded"):
        raise UsageError(f"there is no engine {requested!r}: it is docker or embedded", code="unknown-engine")
    embedded = embedded_engine(home)
    if requested == "embedded":
        return Choice(embedded, "as asked: services run as plain processes")
    try:
        docker = docker_engine(home)
    except EnvironmentFault as error:
        if requested == "docker":
            hint = "or run the services as plain processes: --engine embedded"
            raise EnvironmentFault(error.message, code=error.code, hint=f"{error.hint}, {hint}" if error.hint
                                   else hint.removeprefix("or "), details=error.details) from error
        return Choice(embedded, f"{error.message}: services run as plain processes")
    reason = "as asked" if requested else f"it answers at {docker.info().address}"
    return Choice(docker, reason, (embedded,))


def docker_engine(home: Home) -> Engine:
    """The Docker engine that answers. ``EnvironmentFault("engine-unreachable")``."""
    from orchestrator.engines.docker.engine import DockerEngine

    return with_files(DockerEngine.connect(home.image_table), home)


def embedded_engine(home: Home) -> Engine:
    """Plain processes of this machine: always there."""
    from orchestrator.engines.embedded.engine import EmbeddedEngine
    from orchestrator.engines.embedded.memory import MemoryPlace

    return with_files(EmbeddedEngine(home.instances, home.cache, MemoryPlace(home.instances)), home)


def with_files(engine: Engine, home: Home) -> Engine:
    """The engine and its files: each engine's are apart, as its environments are."""
    import hashlib

    from orchestrator.engines.files import FileEngine
    from orchestrator.engines.routed import RoutedEngine

    info = engine.info()
    place = f"{info.name}-{hashlib.sha256(info.key.encode()).hexdigest()[:8]}"
    return RoutedEngine(engine, FileEngine(home.files / place))
