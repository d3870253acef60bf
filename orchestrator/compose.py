"""``compose/<service>.yaml`` -> ``ContainerSpec``: the single description of a service's container.

Reads the subset of Compose that our files need and refuses other keys by name, so that a file cannot mean one thing to
``docker compose`` and another to us.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import ContainerSpec

KEYS = {
    "image", "command", "entrypoint", "environment", "ports", "volumes", "ulimits", "shm_size", "mem_limit", "cpus",
    "pids_limit", "stop_signal", "stop_grace_period", "healthcheck",
}
"""``healthcheck`` is for people who use the file by hand: we ask the service ourselves, much more often."""

VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})")
UNITS = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}


def read_container(path: Path, variables: Mapping[str, str]) -> ContainerSpec:
    """The one service of a Compose file, its ``${NAME:-default}`` filled in from ``variables``.

    Raises ``EnvironmentFault("compose-unsupported")`` with the file and the key.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _unsupported(path, str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
        raise _unsupported(path, "there is no table of services")
    for key in document:
        if key not in ("services", "volumes"):
            raise _unsupported(path, f"the key {key!r} is not supported")
    if len(document["services"]) != 1:
        raise _unsupported(path, "there must be exactly one service")
    (service,) = document["services"].values()
    for key in service:
        if key not in KEYS:
            raise _unsupported(path, f"the key {key!r} of the service is not supported")
    try:
        return _container(_filled(service, variables))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _unsupported(path, f"not understood: {error}") from error


def _unsupported(path: Path, what: str) -> EnvironmentFault:
    return EnvironmentFault(f"compose/{path.name}: {what}", code="compose-unsupported", hint="labs doctor")


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """Every string with its variables filled in; ``$$`` is a dollar."""
    if isinstance(value, str):
        return VARIABLE.sub(
            lambda match: "$" if match["escaped"] else variables.get(match["name"], match["default"] or ""), value)
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    return value


def _container(service: Mapping[str, Any]) -> ContainerSpec:
    environment = service.get("environment", {})
    if isinstance(environment, list):
        environment = dict(item.split("=", 1) for item in environment)
    (port,) = service["ports"]
    (volume,) = service["volumes"]
    return ContainerSpec(
        image=service["image"],
        command=_words(service.get("command")),
        entrypoint=_words(service.get("entrypoint")),
        environment={name: str(value) for name, value in environment.items()},
        container_port=int(str(port).rpartition(":")[2]),
        data_path=str(volume).split(":")[1],
        memory=_size(service["mem_limit"]),
        cpus=float(service["cpus"]),
        pids=int(service["pids_limit"]),
        shm_size=_size(service["shm_size"]) if "shm_size" in service else None,
        ulimits={name: int(limit) for name, limit in service.get("ulimits", {}).items()},
        stop_signal=service.get("stop_signal"),
        stop_grace=_seconds(service.get("stop_grace_period", "10s")),
    )


def _words(value: Any) -> tuple[str, ...] | None:
    """A command as a list of words. As one string it would need a shell's rules: not supported."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise ValueError("a command must be a list of words")
    return tuple(str(word) for word in value)


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
