"""`make demo`: the story of `labs`, played without Docker: services up, a right server passes, a wrong one fails.

Everything happens in a temporary home and is gone at the end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LABS = str(ROOT / ".venv/bin/labs")
LAB = ROOT / "labs/databases"


def main() -> int:
    """Play it; 0 if the right server passed and the wrong one failed."""
    folder = Path(tempfile.mkdtemp(prefix="labs-demo-"))
    environment = {**os.environ, "LABS_HOME": str(folder / "home"), "LABS_ENGINE": "embedded"}

    def labs(*arguments: str, cwd: Path = folder, expect: int = 0) -> None:
        print(f"\n$ labs {' '.join(arguments)}", flush=True)
        code = subprocess.run([LABS, *arguments], cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                              check=False).returncode
        if code != expect:
            raise SystemExit(f"this should have ended with {expect}, but ended with {code}")

    def tell(text: str) -> None:
        print(f"\n--- {text}", flush=True)

    try:
        tell("Real services, yours to play with.")
        labs("start", "databases")
        labs("connect", "postgres", "-c", "SELECT 'hello from a real PostgreSQL' AS greeting")
        tell("A server that keeps buyers and events in PostgreSQL. Is it right?")
        shutil.copytree(LAB / "solutions/accepted/python", folder / "server")
        labs("check", "postgres/crud", cwd=folder / "server")
        tell("The same server, but it keeps them in a dict. Over HTTP it looks the same; PostgreSQL knows better.")
        subprocess.run(["git", "init", "-q"], cwd=folder / "server", check=True)
        subprocess.run(["git", "apply", str(LAB / "solutions/wrong/postgres-crud-dict.patch")],
                       cwd=folder / "server", check=True)
        labs("check", "postgres/crud", cwd=folder / "server", expect=1)
        tell("That is the whole idea. Now you: labs init databases --language python my-server")
        return 0
    finally:
        subprocess.run([LABS, "clean", "--yes"], env=environment, capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
