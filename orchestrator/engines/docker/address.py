"""Where the Docker API may be: what people set, the current context, the well-known sockets. Touches only files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """One place to try. ``chosen``: a person said so, and nothing else is tried after it."""

    url: str
    origin: str
    chosen: bool = False

    @property
    def local(self) -> bool:
        """Whether ports that the engine publishes are on our own loopback."""
        try:
            parts = urlsplit(self.url)
        except ValueError:
            return False
        return parts.scheme in ("unix", "npipe") or parts.hostname in ("127.0.0.1", "localhost", "::1")

    @property
    def socket(self) -> Path | None:
        """The socket's path, for ``unix://``."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None


def candidates(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> tuple[Address, ...]:
    """Addresses in the order in which they are tried; one that a person chose stands alone."""
    home = home or Path.home()
    for variable in ("LABS_DOCKER_HOST", "DOCKER_HOST"):
        if environ.get(variable):
            return (Address(environ[variable], variable, chosen=True),)
    context = _context(environ, home)
    if context is not None:
        return (context,)
    runtime = environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    paths = (
        ("/var/run/docker.sock", "the default socket"),
        (f"{runtime}/docker.sock", "rootless Docker"),
        (f"{home}/.docker/run/docker.sock", "Docker Desktop"),
        (f"{home}/.docker/desktop/docker.sock", "Docker Desktop"),
        (f"{home}/.colima/default/docker.sock", "Colima"),
        (f"{runtime}/podman/podman.sock", "Podman"),
        (f"{environ.get('TMPDIR', '/tmp').rstrip('/')}/podman/podman-machine-default-api.sock", "Podman"),  # noqa: S108
        (f"{home}/.local/share/containers/podman/machine/podman.sock", "Podman"),
        ("/run/podman/podman.sock", "Podman"),
    )
    return tuple(Address(f"unix://{path}", origin) for path, origin in paths)


def settings_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Where Docker's own settings are."""
    return Path(environ.get("DOCKER_CONFIG") or home / ".docker")


def login_programs(environ: Mapping[str, str], home: Path) -> tuple[str, ...]:
    """The programs that Docker's settings name to keep logins to registries; they may not be here."""
    found = _json(settings_folder(environ, home) / "config.json")
    helpers = found.get("credHelpers")
    names = [found.get("credsStore"), *(helpers.values() if isinstance(helpers, dict) else ())]
    return tuple(dict.fromkeys(f"docker-credential-{name}" for name in names if isinstance(name, str) and name))


def _context(environ: Mapping[str, str], home: Path) -> Address | None:
    """The Docker context in force, unless it is the default one; ``None`` if its files do not say."""
    folder = settings_folder(environ, home)
    name = environ.get("DOCKER_CONTEXT") or _json(folder / "config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", "default"):
        return None
    meta = _json(folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json")
    try:
        host = meta["Endpoints"]["docker"]["Host"]
    except (KeyError, TypeError):
        return None
    return Address(str(host), f"the docker context {name}", chosen=True)


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
