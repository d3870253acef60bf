"""The core of the toy service ``pair``: see ``image/pair.pl`` for what it answers."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.model import (
    Binaries,
    Credentials,
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
from toy_pair.wire import ask

PROGRAM = Path(__file__).parent / "image" / "pair.pl"


class PairRecipe(Recipe):
    """Two nodes with the same in them. A client may talk to any."""

    name = "pair"
    title = "Pair"
    port = 7100
    more_ports: Mapping[str, int] = {"keeper": 7101}
    nodes = 2
    compose = "compose.yaml"
    programs = (("perl",),)
    memory = 10_000_000
    urls = ("PAIR_URL",)

    def credentials(self) -> Credentials:
        return Credentials("admin", secrets.token_hex(8), "learner", secrets.token_hex(8), "")

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        return {
            "LABS_PAIR_PORT": str(spec.port),
            "LABS_PAIR_KEEPER_PORT": str(spec.more_ports["keeper"]),
            "LABS_PAIR_USER": spec.credentials.user,
            "LABS_PAIR_PASSWORD": spec.credentials.password,
            "LABS_PAIR_ADMIN_PASSWORD": spec.credentials.admin_password,
            "LABS_PAIR_NODE": str(spec.node),
            "LABS_PAIR_PEERS": " ".join(f"{name}:7100" for name in spec.node_hosts),
        }

    def process(self, spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
        data = folder / "data"
        settings = {
            "bind": "127.0.0.1", "port": spec.port, "keeper_port": spec.more_ports["keeper"],
            "user": spec.credentials.user, "password": spec.credentials.password,
            "admin_password": spec.credentials.admin_password, "data": data, "log": data, "node": spec.node,
            "peers": " ".join(f"127.0.0.1:{port}" for port in spec.node_ports),
        }
        return ProcessSpec(
            argv=(str(binaries.programs["perl"]), str(folder / "pair.pl"), str(folder / "settings")),
            data=data,
            files={"pair.pl": PROGRAM.read_text(encoding="utf-8"),
                   "settings": "".join(f"{name} {value}\n" for name, value in settings.items())},
        )

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:
        """Ready when all nodes that we were told of have found each other."""
        try:
            ask(endpoint.host, endpoint.port, credentials.user, credentials.password, "GET x")
            wanted = len(_nodes(endpoint))
            if wanted > 1:
                found = _keeper(endpoint, credentials, "NODES").split()
                return Ready() if len(found) == wanted else NotYet(f"{len(found)} of {wanted} nodes are there")
        except OSError as error:
            return NotYet(str(error))
        return Ready()

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:
        return Product("Pair", "1.0", Fidelity.GENUINE)

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        return " ".join(ask(endpoint.host, port, credentials.admin_user, credentials.admin_password, "BOOT", seconds=5)
                        for port in _nodes(endpoint))

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        nodes = f"{endpoint},{endpoint.at('node-2')}"
        return {"PAIR_URL": f"pair://{credentials.user}:{credentials.password}@{nodes}"}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        return {"ports": f"{endpoint.port} {endpoint.others['node-2']}", "keeper": str(endpoint.others["keeper"]),
                "password": credentials.admin_password}

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:
        return ()

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:
        return ask(endpoint.host, endpoint.port, credentials.user, credentials.password, statement)


RECIPE = PairRecipe()


def _nodes(endpoint: Endpoint) -> list[int]:
    """The ports of all nodes."""
    return [port for name, port in sorted(endpoint.others.items()) if name.startswith("node-")]


def _keeper(endpoint: Endpoint, credentials: Credentials, line: str) -> str:
    keeper = endpoint.at("keeper")
    return ask(keeper.host, keeper.port, credentials.user, credentials.password, line)
