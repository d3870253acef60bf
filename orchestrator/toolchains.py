"""The languages that have starters: the programs they need, and how to get them."""

from __future__ import annotations

TOOLCHAINS: dict[str, tuple[tuple[str, ...], str]] = {
    "python": (("python3",), "install Python 3.11 or newer: https://www.python.org/downloads/"),
    "go": (("go",), "install Go: https://go.dev/dl/"),
    "node": (("node", "npm"), "install Node.js, which brings npm: https://nodejs.org/"),
}
