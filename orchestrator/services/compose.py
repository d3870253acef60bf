"""``compose/<service>.yaml`` -> ``ContainerSpec``: the single description of a service's container.

Reads the subset of Compose that our files need and refuses other keys by name, so that a file cannot mean one thing to
``docker compose`` and another to us. Ports and volumes get names, from the file alone::

    services:
      queue:
        ports:
          - 127.0.0.1:${LABS_QUEUE_PORT:-5672}:5672                   the main endpoint
          - 127.0.0.1:${LABS_QUEUE_MANAGEMENT_PORT:-15672}:15672      management
          - 127.0.0.1:9001:9001                                       9001 (the main one, were it the first)
        volumes:
          - queue:/data                                               the service's own: the main one
          - log:/var/log/queue                                        log
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.checks.routes import too_large
from orchestrator.errors import EnvironmentFault
from orchestrator.model import ContainerSpec

KEYS = {
    "image", "command", "entrypoint", "environment", "ports", "volumes", "ulimits", "shm_size", "mem_limit", "cpus",
    "pids_limit", "stop_signal", "stop_grace_period", "healthcheck",
}
"""``healthcheck`` is for people who use the file by hand: we ask the service ourselves, much more often."""

TOP_KEYS = ("services", "volumes")
NEEDED = ("image", "ports", "mem_limit", "cpus", "pids_limit")
"""Without limits one service could take the learner's whole machine."""

VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}$]*))?\}|)")
UNITS = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}


def read_container(path: Path, variables: Mapping[str, str]) -> ContainerSpec:
    """The one service of a Compose file, its ``${NAME:-default}`` filled in from ``variables``.

    Raises ``EnvironmentFault("compose-unsupported")`` with the file and the key.
    """
    where = f"{path.parent.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unsupported(where, str(error)) from error
    return parse_container(text, variables, where=where)


def parse_container(text: str, variables: Mapping[str, str], *, where: str) -> ContainerSpec:
    """The same of a Compose file's text; ``where`` names the file for people."""
    import yaml

    try:
        document = yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise _unsupported(where, str(error)) from error
    if too_large(document):
        raise _unsupported(where, "its aliases make more values than any service needs")
    if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
        raise _unsupported(where, "there is no table of services")
    for key in document:
        if key not in TOP_KEYS:
            raise _unsupported(where, f"the key {key!r} is not supported")
    if len(document["services"]) != 1:
        raise _unsupported(where, "there must be exactly one service")
    ((name, service),) = document["services"].items()
    if not isinstance(service, dict):
        raise _unsupported(where, "the service is not a table")
    for key in service:
        if key not in KEYS:
            raise _unsupported(where, f"the key {key!r} of the service is not supported")
    for key in NEEDED:
        if key not in service:
            raise _unsupported(where, f"the key {key!r} of the service is missing")
    try:
        return _container(str(name), service, _filled(service, variables))
    except (AttributeError, TypeError, ValueError) as error:
        raise _unsupported(where, f"not understood: {error}") from error


def image_choices(environ: Mapping[str, str]) -> dict[str, str]:
    """The images that a person asks for in place of the Compose files': ``LABS_IMAGE_...``."""
    return {name: value for name, value in environ.items() if name.startswith("LABS_IMAGE_") and value}


def prefix(service: str) -> str:
    """How the variables of a service begin: ``LABS_QUEUE_``."""
    return f"LABS_{re.sub('[^A-Z0-9]', '_', service.upper())}_"


def _unsupported(where: str, what: str) -> EnvironmentFault:
    return EnvironmentFault(f"{where}: {what}", code="compose-unsupported", hint="labs doctor")


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """Every string with its variables filled in, as Compose does it: ``$$`` is a dollar, empty counts as not set."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda match: _value(match, variables), value)
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    return value


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match["escaped"]:
        return "$"
    if match["name"] is None:
        raise ValueError(f"{match.string[match.start():][:30]!r}: of variables only ${{NAME:-default}} is supported")
    return variables.get(match["name"]) or match["default"] or ""


def _container(name: str, raw: Mapping[str, Any], service: Mapping[str, Any]) -> ContainerSpec:
    """``raw`` is the service before its variables were filled in: they name its ports."""
    return ContainerSpec(
        image=str(service["image"]),
        command=_words(service.get("command")),
        entrypoint=_words(service.get("entrypoint")),
        environment=_environment(service.get("environment", {})),
        ports=_ports(name, _lines(raw["ports"]), _lines(service["ports"])),
        volumes=_volumes(name, _lines(service["volumes"])) if "volumes" in service else {},
        memory=_size(service["mem_limit"]),
        cpus=float(service["cpus"]),
        pids=int(service["pids_limit"]),
        shm_size=_size(service["shm_size"]) if "shm_size" in service else None,
        ulimits=_ulimits(service.get("ulimits", {})),
        stop_signal=service.get("stop_signal"),
        stop_grace=_seconds(service.get("stop_grace_period", "10s")),
    )


def _environment(value: Any) -> dict[str, str]:
    """A table of texts and numbers. Compose takes no booleans, and a name alone would be a variable of the host."""
    if not isinstance(value, dict):
        raise ValueError("environment must be a table")
    return {str(name): _word(word) for name, word in value.items()}


def _ports(service: str, raw: Sequence[str], lines: Sequence[str]) -> dict[str, int]:
    """Name -> the container's port. On any other address than 127.0.0.1 the service would be open to the network."""
    found: dict[str, int] = {}
    for line, filled in zip(raw, lines, strict=True):
        match = re.fullmatch(r"127\.0\.0\.1:\d+:(\d+)", filled)
        if match is None:
            raise ValueError("a port must be in the form 127.0.0.1:PORT:PORT")
        name = _port_name(service, line)
        if name is None:
            name = match[1] if found else ""
        if name in found:
            raise ValueError(f"two ports are {name or 'the main one'}")
        found[name] = int(match[1])
    if "" not in found:
        raise ValueError(f"no port is the main one, in the form 127.0.0.1:${{{prefix(service)}PORT:-7000}}:7000")
    return found


def _port_name(service: str, line: str) -> str | None:
    """What the variable of the published port says of the endpoint; ``None``: nothing."""
    match = re.match(rf"127\.0\.0\.1:\$\{{{prefix(service)}(?:([A-Z0-9_]+)_)?PORT(?::-\d+)?\}}:", line)
    return None if match is None else (match[1] or "").lower()


def _volumes(service: str, lines: Sequence[str]) -> dict[str, str]:
    """Name -> path in the container. Nothing of the host's may be mounted."""
    found: dict[str, str] = {}
    for line in lines:
        match = re.fullmatch(r"([\w.-]+):(/[^:]+)", line)
        if match is None:
            raise ValueError("a volume must be in the form NAME:/PATH")
        name = "" if match[1] == service else match[1]
        if name in found:
            raise ValueError(f"the volume {match[1]} is there twice")
        found[name] = match[2]
    return found


def _lines(value: Any) -> list[str]:
    """A list with at least one entry."""
    if not isinstance(value, list) or not value:
        raise ValueError("ports and volumes must be lists that are not empty")
    return [str(line) for line in value]


def _ulimits(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or not all(isinstance(limit, int) for limit in value.values()):
        raise ValueError("ulimits must be a table of numbers")
    return {str(name): limit for name, limit in value.items()}


def _word(value: Any) -> str:
    """A text, or a number that is written the same way. YAML's bare ``on`` and ``1.10`` mean something else."""
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise ValueError(f"{value!r} must be a text: put it in quotes")


def _words(value: Any) -> tuple[str, ...] | None:
    """A command as a list of words. As one string it would need a shell's rules: not supported."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError("a command must be a list of words")
    return tuple(_word(word) for word in value)


def _size(value: Any) -> int:
    match = re.fullmatch(r"(\d+)\s*([a-z]*)", str(value).lower())
    if match is None or match[2] not in UNITS:
        raise ValueError(f"{value!r} is not a size")
    return int(match[1]) * UNITS[match[2]]


def _seconds(value: Any) -> float:
    match = re.fullmatch(r"(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", str(value))
    if match is None or not match[0]:
        raise ValueError(f"{value!r} is not a duration")
    return int(match[1] or 0) * 60 + float(match[2] or 0)
