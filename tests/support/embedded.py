"""Folders that services can walk to even when the tests run as root, and a service that is a shell script."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from orchestrator.engines.base import Engine
from orchestrator.engines.embedded.engine import EmbeddedEngine
from orchestrator.engines.embedded.folder import InstanceFolder
from orchestrator.model import Binaries, Credentials, Instance, InstanceSpec, Owner, ProcessSpec, State, Step
from orchestrator.system.ports import free_port
from orchestrator.system.processes import Identity

USER, INSTALLATION = str(os.getuid()), "tests"
FOREVER = "exec sleep 600"


@contextmanager
def walkable_folder() -> Iterator[Path]:
    """A temporary folder below which root's services, who run as nobody, can reach theirs: pytest's own is 0700."""
    folder = Path(tempfile.mkdtemp(prefix="labs-test-"))
    folder.chmod(0o711)
    for name in ("instances", "cache"):
        (folder / name).mkdir(mode=0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spec_of(service: str, *, environment: str = "env-1", port: int | None = None, keep_data: bool = True,
            password: str = "secret") -> InstanceSpec:
    """An instance of this test run."""
    return InstanceSpec(
        service=service, name=f"labs-{environment}-{service}", name_given="play", lab="databases",
        owner=Owner(environment, USER, INSTALLATION, "lease-1", os.getpid(), 1.0, "environment"),
        credentials=Credentials("admin", password, "learner", "pw", "shop"), port=port or free_port(),
        keep_data=keep_data, config="c1")


class ScriptRecipe:
    """A service that is a shell script. It does not listen, so tests shorten the time that a start waits for that."""

    name, title, compose, judge, log_source = "script", "Script", "redis.yaml", "instance", "engine"
    port = 7000
    least_version = "1"
    programs: tuple[tuple[str, ...], ...] = (("scripted",),)

    def __init__(self, script: str, *, initialise: str = "", personalise: str = "", template_key: str = "",
                 files: Mapping[str, str] | None = None, stop_grace: float = 5.0) -> None:
        self._script = script
        self._steps = (initialise, personalise)
        self._template_key = template_key
        self._files = files or {}
        self._grace = stop_grace

    def wheel(self) -> Binaries | None:
        return None

    def whole(self, programs: Mapping[str, Path], ask: object) -> bool:
        return True

    def process(self, spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
        def step(script: str) -> tuple[Step, ...]:
            return (Step(("/bin/sh", "-c", script), f"{spec.credentials.admin_password}\n"),) if script else ()

        return ProcessSpec(
            argv=("/bin/sh", "-c", self._script), data=folder / "data", files=self._files,
            initialise=step(self._steps[0]), template_key=self._template_key, personalise=step(self._steps[1]),
            env={"DATA": str(folder / "data")}, stop_grace=self._grace)


def scripted_program(folder: Path) -> None:
    """A program ``scripted`` of version 1.0, for PATH: the engine wants to find something."""
    program = folder / "scripted"
    program.write_text("#!/bin/sh\necho scripted 1.0\n")
    program.chmod(0o755)


def engine_in(folder: Path, *, cache: Path | None = None) -> EmbeddedEngine:
    """An engine below a ``walkable_folder``. Tests that start PostgreSQL share the ``cache`` of another one: to fill
    it takes seconds."""
    return EmbeddedEngine(folder / "instances", cache or folder / "cache")


def segments_of(pid: int) -> list[int]:
    """The System V shared memory that this process made."""
    rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return [int(row[1]) for row in rows if int(row[4]) == pid]


def started(engine: EmbeddedEngine, script: str = FOREVER, *, environment: str = "env-1",
            **options: object) -> InstanceSpec:
    spec = spec_of("script", environment=environment)
    engine.create(spec, ScriptRecipe(script, **options))  # type: ignore[arg-type]
    engine.start(spec.name)
    return spec


def at(folder: Path, spec: InstanceSpec) -> InstanceFolder:
    return InstanceFolder(folder / "instances" / spec.name)


def identity(folder: Path, spec: InstanceSpec) -> Identity:
    run = at(folder, spec).run()
    assert run is not None
    return run.identity


def listed(engine: Engine) -> list[Instance]:
    return list(engine.list(user=USER, installation=INSTALLATION))


def state(engine: EmbeddedEngine, spec: InstanceSpec) -> State | None:
    found = engine.inspect(spec.name)
    return found.state if found else None
