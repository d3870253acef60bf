"""The toy services of ``tests/toys``, installed as pip would install them: a ``.dist-info`` with the entry points."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator import services

TOYS = Path(__file__).parents[1] / "toys"


def write_dist_info(source: Path, site: Path) -> None:
    """What pip writes of the distribution in ``source``, from its ``pyproject.toml``."""
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text("".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["entry-points"].items()))


@contextmanager
def installed(site: Path, *names: str, toys: Path = TOYS) -> Iterator[None]:
    """In this process: ``labs`` knows these services, too. ``site`` is an empty folder; ``toys`` has the sources."""
    for name in names:
        write_dist_info(toys / name, site)
    added = [str(site), *(str(toys / name) for name in names)]
    sys.path[:0] = added
    _forget()
    try:
        yield
    finally:
        sys.path[:] = [entry for entry in sys.path if entry not in added]
        _forget()


def _forget() -> None:
    services.packages.cache_clear()
    services.recipe.cache_clear()
    for name in [name for name in sys.modules if name.startswith("toy_")]:
        del sys.modules[name]


def environment_with(folder: Path, *names: str) -> Path:
    """A virtual environment in which these services are installed beside ``labs``; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    for name in names:
        write_dist_info(TOYS / name, site)
    # With what is installed where the tests run, also through that environment's own ``.pth`` files.
    lines = [f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})", str(TOYS.parents[1]),
             *(str(TOYS / name) for name in names)]
    (site / "labs.pth").write_text("".join(f"{line}\n" for line in lines))
    return folder / "bin" / "python"
