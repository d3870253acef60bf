"""The wheel that a learner installs: complete, without solutions, working from a read-only folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """sdist and wheel, the wheel made from the sdist."""
    folder = Path(tempfile.mkdtemp(prefix="labs-package-"))
    folder.chmod(0o755)
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True,
                   stdout=subprocess.DEVNULL)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    shutil.rmtree(folder)


def tracked(*folders: str) -> set[str]:
    """Files of these folders that git knows or would take."""
    answer = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders], cwd=ROOT,
                            capture_output=True, text=True, check=True)
    return {name for name in answer.stdout.splitlines() if (ROOT / name).is_file()}


def test_the_wheel_has_everything_and_no_solutions(built: Path) -> None:
    """Program, labs, Compose files and images as in the checkout; `solutions/` stay there."""
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    data = {name for name in tracked("labs", "compose", "images") if "/solutions/" not in name}

    assert names == tracked("orchestrator") | {f"orchestrator/_data/{name}" for name in data}
    assert "orchestrator/_data/labs/databases/starter/python/.gitignore" in names


def test_the_sdist_has_what_the_wheel_needs(built: Path) -> None:
    """A wheel can be made from it, and was."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"pyproject.toml", "README.md", "LICENSE", "labs/databases/lab.toml"} <= names
    assert not any(name.startswith("labs/") and "/solutions/" in name for name in names)


def test_a_clean_read_only_install_checks_a_server(built: Path, tmp_path: Path) -> None:
    """Installed into a venv that cannot be written, run from `/`."""
    (wheel,) = built.glob("*.whl")
    venv = built / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run([str(venv / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel)],
                   check=True)
    subprocess.run(["chmod", "-R", "a-w", str(venv)], check=True)
    base = {name: value for name, value in os.environ.items() if not name.startswith("LABS_")}
    # In CI a failure's services are not kept: nobody would take them away.
    environment = {**base, "LABS_HOME": str(built / "home"), "LABS_ENGINE": "embedded", "CI": "true",
                   "PYTHONDONTWRITEBYTECODE": "1"}

    def labs(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(venv / "bin/labs"), *arguments], cwd="/", env=environment, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL, timeout=180, check=False)

    made = labs("init", "databases", "--language", "python", str(tmp_path / "server"))
    assert made.returncode == 0, made.stderr
    checked = labs("check", "--workspace", str(tmp_path / "server"))

    assert checked.returncode == 1, checked.stderr
    assert "schema-missing-table" in checked.stdout
