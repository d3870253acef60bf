"""`make first-hour`: types the commands of `docs/first-hour.md` anew, in an empty home, and keeps what they print.

Each block that begins with ``$ `` is one command. Before the second ``labs check`` the learner's ten lines are written.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/first-hour.md"
TEN_LINES = ROOT / "labs/databases/solutions/accepted/python-first-step.patch"
BLOCK = re.compile(r"^```text\n\$ (?P<command>.+)\n(?P<printed>(?:(?!```).*\n)*)```$", re.MULTILINE)
LONGEST = 160
"""Characters of a printed line; lines of logs are longer, and nobody reads them to the end."""


def main() -> None:
    """Replay the page in a folder that is gone afterwards; the services of that home, too."""
    with tempfile.TemporaryDirectory(prefix="labs-first-hour-") as name:
        home = Path(name).resolve()
        environment = {**os.environ, "HOME": name, "LABS_ENGINE": "embedded", "NO_COLOR": "1", "COLUMNS": "100",
                       "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}"}
        for variable in ("LABS_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "VIRTUAL_ENV"):
            environment.pop(variable, None)
        where, seen, began = home, 0, time.monotonic()

        def typed(block: re.Match[str]) -> str:
            nonlocal where, seen
            words = shlex.split(block["command"])
            if words[0] == "cd":
                where = where / words[1]
                return block[0]
            if words == ["labs", "check"]:
                seen += 1
                if seen == 2:
                    subprocess.run(["git", "apply", str(TEN_LINES)], cwd=where, check=True)
            done = subprocess.run(words, cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            return f"```text\n$ {block['command']}\n{shown(done.stdout, home)}```"

        try:
            page = BLOCK.sub(typed, PAGE.read_text(encoding="utf-8"))
        finally:
            subprocess.run(["labs", "clean", "--yes"], env=environment, capture_output=True, check=False)
        print(f"{time.monotonic() - began:.0f} s")
        PAGE.write_text(page, encoding="utf-8")


def shown(printed: str, home: Path) -> str:
    """What a command printed, without this machine's folders and passwords, and with long lines cut."""
    text = printed.replace(str(home), "~").replace(str(ROOT / ".venv"), "~/.venv").replace(str(ROOT), "…/backend-labs")
    text = re.sub(r"(://\w+:)[^@\s]+@", r"\1********@", text)
    lines = [line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in text.rstrip("\n").split("\n")]
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    main()
