"""``labs contract``."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, option
from orchestrator.cli.outcome import Outcome, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.catalog.routes import ContractField, ContractRoute, RouteBook

WIDTH = 80


@command("contract")
@argument("route", nargs=-1, metavar="[[METHOD] PATH]")
@option("--lab", help="The lab, outside your server's folder.")
@option("--workspace", type=click.Path(path_type=Path, file_okay=False), help="Your server's folder, if not this one.")
def cli(route: tuple[str, ...], lab: str | None, workspace: Path | None) -> Outcome:
    """What your server must answer: every route, or one of them with its fields and answers.

    \b
    labs contract
    labs contract POST /orders
    labs contract /orders
    """
    from orchestrator.catalog.labs import find_lab
    from orchestrator.catalog.routes import read_routes
    from orchestrator.workspace.workspace_toml import read_folder

    found = find_lab(lab or read_folder(workspace).lab)
    book = read_routes(found.folder)
    files = {"openapi": str(found.folder / "openapi.yaml"), "storage": str(found.folder / "storage.md")}
    files = {name: path for name, path in files.items() if Path(path).is_file()}
    chosen = _chosen(book, " ".join(route).split()) if route else book.routes
    data = {"lab": found.name, **files, "routes": [dataclasses.asdict(one) for one in chosen]}
    if route:
        return Outcome(data, "\n\n".join("\n".join(_route(one)) for one in chosen))
    return Outcome(data, "\n".join(_overview(found.title, book, list(files.values()))))


def _chosen(book: RouteBook, words: list[str]) -> list[ContractRoute]:
    """The routes that are meant; ``UsageError`` with what is near."""
    from orchestrator.errors import UsageError, did_you_mean

    method, path = (words[0], words[1]) if len(words) == 2 else ("", words[0])
    if len(words) > 2 or not path.startswith("/"):
        raise UsageError(f"{' '.join(words)!r} is no route: a method and a path, or a path",
                         code="unknown-route", hint="labs contract POST /orders" if not book.routes else
                         f"labs contract {book.routes[0].method} {book.routes[0].path}")
    found = book.find(method, path)
    if not found:
        known = [f"{one.method} {one.path}" for one in book.routes] if method else [one.path for one in book.routes]
        asked = f"{method.upper()} {path}".strip()
        raise UsageError(f"the contract has no route {asked}{did_you_mean(asked, list(dict.fromkeys(known)))}",
                         code="unknown-route", hint="labs contract")
    return found


def _overview(title: str, book: RouteBook, files: Sequence[str]) -> Iterator[str]:
    yield f"{book.title or title}: what your server answers, and where its data is"
    yield ""
    yield from (f"  {path}" for path in files)
    yield ""
    if not book.routes:
        yield "This lab has no openapi.yaml that names a route: its briefs say what to answer."
        return
    yield table([(one.method, one.path, one.summary) for one in book.routes])
    yield ""
    if book.about:
        yield from _prose(book.about, "")
        yield ""
    example = max(book.routes, key=lambda one: len(one.answers))
    yield f"labs contract {example.method} {example.path}   one route, with its fields and answers"


def _route(route: ContractRoute) -> Iterator[str]:
    from orchestrator.system.text import fit

    yield f"{route.method} {route.path}  {route.summary}"
    yield from _prose(route.about, "  ")
    for title, fields in (("parameters", route.parameters), ("body, JSON", route.body)):
        if fields:
            yield from ("", title, *_fields(fields, "  "))
    yield from ("", "answers")
    for answer in route.answers:
        yield from fit(f"  {answer.status}  {answer.meaning}", WIDTH)
        yield from _fields(answer.fields, "       ", optional=False)


def _prose(text: str, indent: str) -> Iterator[str]:
    """Markdown as it is, its paragraphs and items filled anew; one with a block of code line by line."""
    if "```" in text:
        yield from (f"{indent}{line}".rstrip() for line in text.strip().splitlines())
        return
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ""
        for part in re.split(r"\n(?=\s*[-*+]\s)", paragraph):
            deeper = "  " if re.match(r"\s*[-*+]\s", part) else ""
            yield from textwrap.wrap(" ".join(part.split()), WIDTH, initial_indent=indent, break_long_words=False,
                                     subsequent_indent=indent + deeper, break_on_hyphens=False)


def _fields(fields: Sequence[ContractField], indent: str, *, optional: bool = True) -> list[str]:
    rows = []
    for one in fields:
        words = [*([f"in the {one.place}"] if one.place else []),
                 *(["optional"] if optional and not one.required else [])]
        rows.append((f"{indent}{one.name}", one.form + (f" ({', '.join(words)})" if words else "")))
    return table(rows).splitlines()
