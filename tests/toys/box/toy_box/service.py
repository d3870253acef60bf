"""The core of the toy service ``box``, and every capability: see ``image/box.pl`` for what it answers."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.model import (
    Binaries,
    Credentials,
    Dead,
    Endpoint,
    Fidelity,
    InstanceSpec,
    NotYet,
    Probe,
    ProcessSpec,
    Product,
    Ready,
)
from orchestrator.services.base import Recipe
from orchestrator.services.clients import ClientProgram
from toy_box.record import BoxRecorder
from toy_box.wire import Connection, Refused

PROGRAM = Path(__file__).parent / "image" / "box.pl"


class BoxRecipe(Recipe):
    """``Emptying``, ``Clearing``, ``Interactive`` and ``Recordable``."""

    name = "box"
    title = "Box"
    port = 7200
    compose = "compose.yaml"
    programs = (("perl",),)
    memory = 10_000_000
    urls = ("BOX_URL",)

    def credentials(self) -> Credentials:
        return Credentials("admin", secrets.token_hex(8), "learner", secrets.token_hex(8), "")

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        return {
            "LABS_BOX_PORT": str(spec.port),
            "LABS_BOX_USER": spec.credentials.user,
            "LABS_BOX_PASSWORD": spec.credentials.password,
            "LABS_BOX_ADMIN_PASSWORD": spec.credentials.admin_password,
        }

    def process(self, spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
        settings = {
            "bind": "127.0.0.1", "port": spec.port, "user": spec.credentials.user,
            "password": spec.credentials.password, "admin_password": spec.credentials.admin_password,
            "data": folder / "data",
        }
        return ProcessSpec(
            argv=(str(binaries.programs["perl"]), str(folder / "box.pl"), str(folder / "settings")),
            data=folder / "data",
            files={"box.pl": PROGRAM.read_text(encoding="utf-8"),
                   "settings": "".join(f"{name} {value}\n" for name, value in settings.items())},
        )

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        try:
            Connection(endpoint.host, endpoint.port, credentials.user, credentials.password, seconds=0.4).close()
        except Refused as refusal:
            return Dead(str(refusal))
        except OSError as error:
            return NotYet(str(error))
        return Ready()

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        return Product("Box", "1.0", Fidelity.GENUINE)

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        with _admin(endpoint, credentials) as admin:
            return admin.ask("BOOT")

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"BOX_URL": f"box://{credentials.user}:{credentials.password}@{endpoint}"}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"url": f"box://{credentials.admin_user}:{credentials.admin_password}@{endpoint}"}

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return "Box may not write to its folder; `labs reset box` makes a new one." if "Permission" in log else None

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:
        with _admin(endpoint, credentials) as admin:
            admin.ask("FLUSH")

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:
        with _admin(endpoint, credentials) as admin:
            return frozenset(admin.ask("KEYS").split())

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:
        with _admin(endpoint, credentials) as admin:
            for key in admin.ask("KEYS").split():
                if key not in spare:
                    admin.ask(f"DEL {key}")

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:
        return ()

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        try:
            with closing(Connection(endpoint.host, endpoint.port, credentials.user, credentials.password)) as learner:
                return learner.ask(statement)
        except Refused as refusal:
            raise UsageError(f"Box refused this: {refusal}", code="statement-refused") from refusal

    def record(self, endpoint: Endpoint, credentials: Credentials) -> BoxRecorder:
        return BoxRecorder(Connection(endpoint.host, endpoint.port, credentials.admin_user, credentials.admin_password))


RECIPE = BoxRecipe()


@contextmanager
def _admin(endpoint: Endpoint, credentials: Credentials) -> Iterator[Connection]:
    """As the administrator. ``ConnectionError`` if the box is down."""
    try:
        with closing(Connection(endpoint.host, endpoint.port, credentials.admin_user,
                                credentials.admin_password)) as connection:
            yield connection
    except (OSError, Refused) as error:
        raise ConnectionError(f"Box at {endpoint}: {error}") from error
