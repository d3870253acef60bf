"""``labs man``: a manual page from the same source as the help."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import click

from orchestrator import __version__
from orchestrator.cli.command import command
from orchestrator.cli.outcome import Outcome

CODES = {
    0: "passed, or done", 1: "a milestone failed", 2: "the command line is wrong", 3: "this machine or labs failed",
    4: "a lab's definition is wrong", 5: "nothing was checked", 130: "interrupted, or you said no",
}


ENVIRONMENT = (
    "Every option is also a variable: --engine is LABS_ENGINE. LABS_HOME is the folder in which labs keeps its files. "
    "NO_COLOR switches colours off."
)


@command("man")
def cli() -> Outcome:
    """Print the manual page: labs man | man -l -"""
    from orchestrator.cli.main import GROUPS, labs

    context = click.Context(labs, info_name="labs")
    commands = {name: found for group in GROUPS.values() for name in group
                if (found := labs.get_command(context, name)) is not None}
    page = manual(labs, GROUPS, commands)
    return Outcome({"page": page}, page)


def manual(program: click.Group, groups: Mapping[str, Mapping[str, str]], commands: Mapping[str, click.Command]) -> str:
    """The page in roff, macros of man(7)."""
    about, _, more = (program.help or "").partition("\n\n")
    lines = [f'.TH LABS 1 "" "labs {__version__}" "labs"', ".SH NAME", f"labs \\- {_text(about)}", ".SH SYNOPSIS",
             ".B labs", "[COMMAND] [OPTIONS] [ARGUMENTS]", ".SH DESCRIPTION", _text(" ".join((more or about).split()))]
    for group, names in groups.items():
        lines.append(f'.SH "{_text(group.upper())} COMMANDS"')
        for name in names:
            lines += _command(name, commands[name])
    lines += [".SH EXIT STATUS"]
    for code, meaning in CODES.items():
        lines += [".TP", f"{code}", _text(meaning)]
    lines += [".SH ENVIRONMENT", _text(ENVIRONMENT)]
    return "\n".join(lines) + "\n"


def _command(name: str, found: click.Command) -> Iterator[str]:
    context = click.Context(found, info_name=f"labs {name}")
    pieces = " ".join(piece for piece in found.collect_usage_pieces(context) if piece != "[OPTIONS]")
    yield f'.SS "{_text(f"labs {name} {pieces}".strip())}"'
    for paragraph in re.split(r"\n\s*\n", (found.help or "").strip()):
        if paragraph.lstrip().startswith("\b"):
            yield ".nf"
            yield from (_text(line) for line in paragraph.replace("\b", "").strip("\n").splitlines())
            yield ".fi"
        else:
            yield _text(" ".join(paragraph.split()))
        yield ".PP"
    if isinstance(found, click.Group):
        for sub in found.list_commands(context):
            inner = found.get_command(context, sub)
            if inner is not None:
                yield from _command(f"{name} {sub}", inner)
    for parameter in found.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield ".TP"
            yield f".B {_text(record[0])}"
            yield _text(record[1])


def _text(text: str) -> str:
    """Text that roff shows as it is."""
    shown = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    shown = "".join(one if one.isascii() else f"\\[u{ord(one):04X}]" for one in shown)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in shown.splitlines())
