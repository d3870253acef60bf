"""A service that a lab brings itself: a Compose file in its folder, and what ``lab.toml`` says of it, as a recipe.

``labs`` knows nothing of its protocol. So it is made anew for each attempt at a milestone, its evidence is a fixture of
the lab's, and it runs in a container only. The definition is text that every instance carries: what a lab started can
be looked at, reset and removed when the lab is changed or gone.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import socket
import string
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields

from orchestrator.errors import EnvironmentFault
from orchestrator.model import (
    Binaries,
    ContainerSpec,
    Credentials,
    Endpoint,
    Fidelity,
    InstanceSpec,
    NotYet,
    Probe,
    Product,
    Ready,
)
from orchestrator.services.base import DATABASE, Recipe
from orchestrator.services.clients import Known, known_failure, learner_name, password
from orchestrator.services.compose import image_choices, parse_container, prefix

PLACEHOLDERS = ("host", "port", "user", "password", "database")
"""What an ``env`` template may name, beside ``port_NAME`` for each further port of the Compose file."""
PROBE_SECONDS = 0.8
CLOSED_SECONDS = 0.05
"""So soon a connection ends behind which nobody listens: Docker's proxy takes every one that comes."""
BODY_SHOWN = 100

_FAILURES = (
    Known("It was ended because it, or the machine, ran out of memory; `mem_limit` in its Compose file is its limit.",
          exit_codes=frozenset({137, -9})),
    Known("Its command cannot be run; look at `command` and `entrypoint` in its Compose file.",
          exit_codes=frozenset({126, 127})),
)


@dataclass(frozen=True, slots=True)
class OwnService:
    """What a lab says. ``file`` is the Compose file's path in the lab and ``compose`` its text.

    ``ready`` is ``tcp``, ``http PATH`` or ``log PATTERN``; ``env`` maps variables of the target to templates
    (``http://{host}:{port}``); ``memory`` is about how many bytes it uses, 0 for the Compose file's limit.
    """

    name: str
    file: str
    compose: str
    ready: str
    env: Mapping[str, str]
    memory: int

    def encoded(self) -> str:
        """As text, for ``ServiceNeed.own`` and ``InstanceSpec.own``."""
        return json.dumps(asdict(self))


def decoded(text: str) -> OwnService:
    """What ``encoded`` wrote. Raises ``ValueError`` for anything else."""
    values = json.loads(text)
    names = {field.name for field in fields(OwnService)}
    if not isinstance(values, dict) or set(values) != names:
        raise ValueError("not the definition of a service")
    env, memory = values["env"], values["memory"]
    texts = [values[name] for name in names - {"env", "memory"}]
    if not isinstance(env, dict) or not isinstance(memory, int) or not all(
            isinstance(one, str) for one in (*texts, *env, *env.values())):
        raise ValueError("not the definition of a service")
    return OwnService(**values)


class OwnRecipe(Recipe):
    """See ``Recipe``; it has no capability. Raises ``EnvironmentFault`` if its Compose file is not understood."""

    def __init__(self, own: OwnService) -> None:
        container = parse_container(own.compose, {}, where=own.file)
        self.name = self.title = own.name
        self.carried = own.encoded()
        self.compose = own.file
        self.compose_text = own.compose
        self.image = container.image
        self.port = container.ports[""]
        self.more_ports = {name: port for name, port in container.ports.items() if name}
        self.memory = own.memory or container.memory
        self.urls = tuple(name for name, template in own.env.items() if "://" in template)
        kind, _, what = own.ready.partition(" ")
        self._path = what.strip() if kind == "http" else ""
        self.ready_log = what.strip() if kind == "log" else ""
        self._env = own.env

    def credentials(self) -> Credentials:
        return Credentials("admin", password(), learner_name(), password(), DATABASE)

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        start = prefix(self.name)
        return {
            f"{start}PORT": str(spec.port),
            **{f"{start}{name.upper()}_PORT": str(port) for name, port in spec.more_ports.items()},
            **{f"{start}{word.upper()}": str(value) for word, value in _words(spec.credentials).items()},
        }

    def wheel(self) -> Binaries | None:
        return None

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:  # noqa: ARG002
        """``log`` services are asked by TCP here: their log says when a start is over, not whether they answer now."""
        try:
            if self._path:
                return _probe_http(endpoint, self._path)
            return _probe_tcp(endpoint)
        except (OSError, http.client.HTTPException) as error:
            return NotYet(str(error) or type(error).__name__)

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:  # noqa: ARG002
        container = parse_container(self.compose_text, image_choices(os.environ), where=self.compose)
        return product_of(container)

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:
        """Nothing that the service says tells its runs apart: the engine's word has to be enough."""
        answer = self.probe(endpoint, credentials)
        if isinstance(answer, Ready):
            return ""
        raise ConnectionError(f"{self.title} at {endpoint}: {answer.why}")

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:
        known = {
            "host": endpoint.host, "port": str(endpoint.port), "user": credentials.user,
            "password": credentials.password, "database": credentials.database,
            **{f"port_{name}": str(port) for name, port in endpoint.others.items()},
        }
        return {name: filled(template, known) for name, template in self._env.items()}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, object]:
        return {
            "host": endpoint.host, "port": endpoint.port, "ports": dict(endpoint.others),
            "env": dict(self.environment(endpoint, credentials)), **_words(credentials),
        }

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return known_failure(_FAILURES, exit_code, log)


def _words(credentials: Credentials) -> dict[str, str]:
    return {"user": credentials.user, "password": credentials.password, "database": credentials.database,
            "admin_user": credentials.admin_user, "admin_password": credentials.admin_password}


def product_of(container: ContainerSpec) -> Product:
    """The image that the lab names is what it means: ``minio/minio:RELEASE.2025`` is genuine by definition."""
    image, _, digest = container.image.partition("@")
    name, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:  # the colon of a registry's port, or none
        name, tag = image, ""
    return Product(name, tag or digest.removeprefix("sha256:")[:12] or "latest", Fidelity.GENUINE)


def filled(template: str, known: Mapping[str, str]) -> str:
    """A template with its ``{placeholders}`` filled in; ``{{`` is a brace. ``EnvironmentFault`` for an unknown one."""
    try:
        return string.Formatter().vformat(template, (), known)
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise EnvironmentFault(f"the template {template!r} cannot be filled in: {error}", code="bad-template",
                               hint="labs lint LAB") from error


def placeholders(template: str) -> Iterator[str]:
    """The names in a template as they are written. Raises ``ValueError`` for a brace that is not closed."""
    for _, name, form, conversion in string.Formatter().parse(template):
        if name is not None:
            yield name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")


def ready_trouble(ready: str) -> str:
    """What is wrong with the word of ``lab.toml`` that says when a service is ready; ``""`` if nothing is."""
    kind, _, what = ready.partition(" ")
    what = what.strip()
    if kind == "tcp" and not what:
        return ""
    if kind == "http" and re.fullmatch(r"/[!-~]*", what):
        return ""
    if kind == "log" and what:
        try:
            re.compile(what)
        except re.error as error:
            return f"{what!r} is not a pattern: {error}"
        return ""
    return f'{ready!r} must be "tcp", "http /PATH" or "log PATTERN"'


def _probe_http(endpoint: Endpoint, path: str) -> Probe:
    """Any 2xx will do."""
    connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=PROBE_SECONDS)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        said = f"GET {path} answered {answer.status} {answer.reason}".rstrip()
        if 200 <= answer.status < 300:
            return Ready()
        body = answer.read(BODY_SHOWN).decode("utf-8", "replace").split("\n")[0].strip()
        return NotYet(f"{said}: {body}" if body else said)
    finally:
        connection.close()


def _probe_tcp(endpoint: Endpoint) -> Probe:
    """A connection that stays open for a moment, or on which the service speaks first."""
    with socket.create_connection((endpoint.host, endpoint.port), timeout=PROBE_SECONDS) as connection:
        readable, _, _ = select.select([connection], [], [], CLOSED_SECONDS)
        if readable and not connection.recv(1):
            return NotYet("it takes connections and closes them at once")
    return Ready()
