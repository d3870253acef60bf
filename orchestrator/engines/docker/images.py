"""Service images built from packages, for machines without an image registry: build, list, save, load.

Each is built from a folder of its own and named by a hash of that folder (``local.py``); a table maps the upstream name
to it, which the Docker engine reads when the upstream image is not here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.engines.docker.local import REPOSITORY, local_name, upstream_name
from orchestrator.errors import EnvironmentFault
from orchestrator.services.base import Recipe
from orchestrator.services.places import image_folder
from orchestrator.system.files import read_json, write_json

BASE = "debian:trixie-slim"
"""The official base's name: a Dockerfile is the same where a registry has it and where we make it."""


@dataclass(frozen=True, slots=True)
class Image:
    """One service's image. ``local`` is the name of the one built here, ``built`` whether it is there."""

    service: str
    upstream: str
    local: str
    built: bool


class Images:
    """The images of these recipes on the Docker engine at ``address``; ``table`` is the file of names.

    A recipe without a folder of its own below ``images/`` has no image that could be built: it is left out.
    """

    def __init__(self, recipes: Sequence[Recipe], table: Path, address: str) -> None:
        self._names = [(recipe.name, upstream_name(recipe), local) for recipe in recipes
                       if (local := local_name(recipe)) is not None]
        self._folders = {recipe.name: image_folder(recipe) for recipe in recipes}
        self._table = table
        self._docker = client_with_buildkit(address)

    def all(self) -> list[Image]:
        """What there is."""
        return [Image(service, upstream, local, self._has(local)) for service, upstream, local in self._names]

    def build(self, say: Callable[[str], None]) -> list[Image]:
        """Build what is not there for the present content; the base first, if neither it nor a registry is here."""
        wanted = [image for image in self.all() if not image.built]
        if wanted:
            self._ensure_base(say)
        for image in wanted:
            say(f"building {image.local}")
            self._run(["build", "--quiet", *authorities(os.environ), "--tag", image.local,
                       "--label", "dev.backend-labs.image=1", str(self._folders[image.service])],
                      f"the image of {image.service} could not be built")
        self._record(self.all())
        return self.all()

    def save(self, file: Path, say: Callable[[str], None]) -> list[Image]:
        """Those that have been built into one file, for a classroom without a network."""
        images = [image for image in self.all() if image.built]
        if not images:
            raise EnvironmentFault("no image has been built here", code="image-missing", hint="labs images build")
        say(f"writing {file}")
        self._run(["save", "--output", str(file), *(image.local for image in images)], "the images could not be saved")
        return images

    def load(self, file: Path, say: Callable[[str], None]) -> list[Image]:
        """The images of a file that ``save`` wrote. One of other content than this version's is named and not used."""
        if not file.is_file():
            raise EnvironmentFault(f"{file} is not there", code="file-missing", hint="labs images save FILE")
        say(f"reading {file}")
        answer = self._run(["load", "--input", str(file)], "the images could not be loaded")
        known = {local for _, _, local in self._names}
        for name in re.findall(rf"{REPOSITORY}/\S+", answer):
            if name not in known:
                say(f"{name} was built by another version of labs and is not used")
        self._record(self.all())
        return self.all()

    # --- parts -----------------------------------------------------------------------------------------------

    def _record(self, images: Sequence[Image]) -> None:
        table = read_json(self._table)
        known = table if isinstance(table, dict) else {}
        write_json(self._table, known | {image.upstream: image.local for image in images if image.built})

    def _ensure_base(self, say: Callable[[str], None]) -> None:
        """Make the base from packages where it is not here and cannot be pulled."""
        if self._has(BASE):
            return
        say(f"getting {BASE}")
        if self._call(["pull", "--quiet", BASE]).returncode == 0:
            return
        program = shutil.which("mmdebstrap")
        if program is None or os.geteuid() != 0:
            raise EnvironmentFault(f"{BASE} is not here and no registry has it", code="image-missing",
                                   hint="as root on Debian: apt-get install mmdebstrap, then labs images build")
        say(f"making {BASE} from packages")
        with tempfile.TemporaryDirectory(prefix="labs-base-") as folder:
            archive = Path(folder) / "base.tar"
            made = subprocess.run([program, "--quiet", "--variant=minbase", "--include=ca-certificates", "trixie",
                                   str(archive), debian_mirror()], capture_output=True, text=True, check=False)
            if made.returncode != 0:
                raise EnvironmentFault(f"{BASE} could not be made from packages", code="image-missing",
                                       details=made.stderr.splitlines()[-5:], hint="labs doctor")
            self._run(["import", str(archive), BASE], "the base could not be imported")

    def _has(self, name: str) -> bool:
        return self._call(["image", "inspect", name]).returncode == 0

    def _run(self, arguments: Sequence[str], what: str) -> str:
        """What it said; ``EnvironmentFault`` with its last words if it failed."""
        done = self._call(arguments)
        if done.returncode != 0:
            raise EnvironmentFault(what, code="image-failed", details=done.stderr.splitlines()[-10:],
                                   hint="labs doctor")
        return done.stdout

    def _call(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self._docker, *arguments], capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, check=False, env={**os.environ, "DOCKER_BUILDKIT": "1"})


def authorities(environ: Mapping[str, str]) -> list[str]:
    """Words for a build that fetches over TLS: whom this machine was told to trust, as the secret `ca`.

    Where a site looks into its traffic the base's own ones would not do. A secret is in no layer of the image.
    """
    for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        path = environ.get(name, "")
        if path and Path(path).is_file():
            return ["--secret", f"id=ca,src={path}"]
    return []


def client_with_buildkit(address: str) -> tuple[str, ...]:
    """The first Docker client on this machine that can build with BuildKit, pointed at this engine."""
    for program in _clients():
        version = subprocess.run([program, "version", "--format", "{{.Client.Version}}"], capture_output=True,
                                 text=True, check=False).stdout.strip()
        major = int(re.match(r"\d+", version).group()) if re.match(r"\d+", version) else 0  # type: ignore[union-attr]
        # Since 23 a client builds through its buildx plugin; before that BuildKit is part of it.
        buildx = subprocess.run([program, "buildx", "version"], capture_output=True, check=False).returncode == 0
        if buildx or 0 < major < 23:
            return program, "-H", address
    raise EnvironmentFault("no docker client that can build images is on this machine", code="client-missing",
                           hint="install Docker's command line with the buildx plugin")


def _clients() -> Iterator[str]:
    seen = set()
    for folder in (*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"):
        program = shutil.which("docker", path=folder)
        if program is not None and program not in seen:
            seen.add(program)
            yield program


def debian_mirror(apt: Path = Path("/etc/apt")) -> str:
    """The archive that this machine's own apt uses; a CD is none."""
    for path in (apt / "sources.list.d/debian.sources", apt / "sources.list"):
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        match = re.search(r"^(?:URIs:\s*|deb\s+(?:\[[^]]*\]\s+)?)(https?://\S+)", text, re.MULTILINE)
        if match:
            return match[1]
    raise EnvironmentFault("this machine's apt names no archive", code="image-missing", hint="labs pull LAB")
