"""Where the folders of data are: `labs/`, `images/`, `compose/` of a checkout, or `orchestrator/_data` in a wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def _root() -> Path:
    packaged = Path(__file__).parent / "_data"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent


def is_checkout() -> bool:
    """True when we run from a source checkout; only there are ``solutions/``."""
    return _root().name != "_data"


def labs_folder() -> Path:
    """The folder with one folder per lab."""
    return _root() / "labs"


def images_folder() -> Path:
    """The folder with one folder per image that can be built here."""
    return _root() / "images"


def compose_folder() -> Path:
    """The folder with one Compose file per service."""
    return _root() / "compose"
