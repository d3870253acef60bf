"""The languages that have starters: the programs they need, and how to get them."""

from __future__ import annotations

TOOLCHAINS: dict[str, tuple[tuple[str, ...], str]] = {
    "python": (("python3",), "install Python 3.11 or newer: https://www.python.org/downloads/"),
    "go": (("go",), "install Go: https://go.dev/dl/"),
    "node": (("node", "npm"), "install Node.js, which brings npm: https://nodejs.org/"),
}

OTHERS = {
    "pip": "install Python 3.11 or newer: https://www.python.org/downloads/",
    "uv": "install uv: https://docs.astral.sh/uv/getting-started/installation/",
    "cargo": "install Rust: https://rustup.rs/",
    "java": "install a JDK: https://adoptium.net/",
    "mvn": "install Maven: https://maven.apache.org/install.html",
    "dotnet": "install .NET: https://dotnet.microsoft.com/download",
    "ruby": "install Ruby: https://www.ruby-lang.org/en/documentation/installation/",
    "bun": "install Bun: https://bun.sh/",
    "deno": "install Deno: https://deno.com/",
}


def how_to_get(program: str) -> str:
    """One sentence: how a missing program gets on this machine."""
    for programs, remedy in TOOLCHAINS.values():
        if program in programs:
            return remedy
    return OTHERS.get(program, "install it, or mend its name in workspace.toml")
