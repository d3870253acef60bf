"""What a Docker that answers lacks of what `labs` would use: told by ``labs doctor``, each with what helps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.engines.docker.address import login_programs, settings_folder


def shortcomings(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> Iterator[tuple[str, str]]:
    """What is missing and its remedy, a sentence each. `labs` works without all of it."""
    home = home or Path.home()
    for program in login_programs(environ, home):
        if shutil.which(program, path=environ.get("PATH")) is None:
            file = settings_folder(environ, home) / "config.json"
            yield (f"{file} names {program}, which is not on this machine: images that need a login cannot be pulled, "
                   "and `labs images build` may fail",
                   f"install {program}, or remove the lines credsStore and credHelpers from {file}")
