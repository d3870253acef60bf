"""The pytest child's command line and environment: values, so that tests can compare them. Nothing else reaches it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from orchestrator.checks.protocol import CHANNEL_VARIABLE, READERS_VARIABLE, ROLES_VARIABLE

INI = Path(__file__).with_name("child.ini")
ALLOWED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME")


def pytest_arguments(lab: Path, checks: Sequence[Path]) -> list[str]:
    """What pytest is told, to run these files of checks, in this order.

    ``-c``, ``--rootdir``, ``--confcutdir`` and the switched-off plugins: no configuration but ours, no conftest above
    the lab.
    """
    return [
        "-c", str(INI), f"--rootdir={lab}", f"--confcutdir={lab}", "--import-mode=importlib",
        "--disable-plugin-autoload", "-p", "orchestrator.checks.plugin", "-p", "no:cacheprovider", "-q", "--tb=short",
        *map(str, checks),
    ]


def child_command(
    lab: Path, checks: Sequence[Path], readers: Mapping[str, str], roles: Mapping[str, str],
) -> Callable[[int], tuple[list[str], dict[str, str]]]:
    """From the inherited descriptor to argv and environment of a program that runs these files of checks.

    ``readers``: fixture -> the module of its evidence reader, of the services that the lab uses. ``roles``: fixture ->
    that of the service that plays it.

    ``-I``: no ``PYTHON*`` variables, no user site, no current folder.
    """

    def command(descriptor: int) -> tuple[list[str], dict[str, str]]:
        argv = [sys.executable, "-I", "-B", "-m", "pytest", *pytest_arguments(lab, checks)]
        return argv, {**child_environment(os.environ, readers, roles), CHANNEL_VARIABLE: str(descriptor)}

    return command


def child_environment(base: Mapping[str, str], readers: Mapping[str, str], roles: Mapping[str, str]) -> dict[str, str]:
    """By allow-list: neither ``PYTEST_ADDOPTS`` nor anybody's secrets. The channel's descriptor is not in it yet."""
    return {name: base[name] for name in ALLOWED if name in base} | {
        READERS_VARIABLE: json.dumps(dict(readers)), ROLES_VARIABLE: json.dumps(dict(roles))}
