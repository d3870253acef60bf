"""What a Docker that answers lacks of what `labs` would use: told by ``labs doctor``, each with what helps."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.engines.docker.address import login_programs, settings_folder
from orchestrator.engines.docker.connection import connect
from orchestrator.errors import EnvironmentFault


def shortcomings(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> Iterator[tuple[str, str]]:
    """What is missing and its remedy, a sentence each. `labs` works without all of it."""
    home = home or Path.home()
    for program in login_programs(environ, home):
        if shutil.which(program, path=environ.get("PATH")) is None:
            file = settings_folder(environ, home) / "config.json"
            yield (f"{file} names {program}, which is not on this machine: images that need a login cannot be pulled",
                   f"install {program}, or remove the lines credsStore and credHelpers from {file}")
    if _said(environ).get("CpuCfsQuota") is False:
        yield ("it cannot limit CPU time (its kernel has no CPU quota): a service may use all the CPUs there are",
               "close other programs while labs check runs")


def _said(environ: Mapping[str, str]) -> dict[str, Any]:
    """What the engine says of itself; nothing if it does not."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        with contextlib.closing(connect(environ)) as connection:
            said: dict[str, Any] = connection.look.info()
    except (EnvironmentFault, DockerException, RequestException):
        return {}
    return said
