"""Whether ``storage.md``, which binds the learner, names everything that checks read and plant.

Looked at is what the services' ``names.py`` say (``texts``), each for the fixture that is called as the service. Not
seen is whether a column belongs to the table, or a field to the collection, beside which it is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from orchestrator.errors import did_you_mean
from orchestrator.lint import sql
from orchestrator.lint.check_files import HOLE, CheckFile, CheckFiles
from orchestrator.lint.finding import NOT_READ, Finding, read_text
from orchestrator.lint.storage_page import FILE, read_contract
from orchestrator.lint.texts import Text, texts
from orchestrator.services.parts import Names

FIX = f"name it in {FILE}, in backticks, or use what is named there"
Used = tuple[str, int, str, str]
"""In which file and line, which kind of thing, and its name."""


def findings(lab: Path, check_files: CheckFiles, services: Mapping[str, Names]) -> Iterator[Finding]:
    """Names that checks use and the contract does not say. ``services``: those of the lab that say something."""
    found = [(file, one) for file in check_files.by_name.values() for one in texts(file, services)]
    if not sql.can_read():
        unread = next(((file, one.line) for file, one in found if one.kind == "sql"), None)
        if unread is not None:
            yield Finding(unread[0].name, unread[1], NOT_READ, "SQL was not looked at, here and elsewhere: sqlglot is "
                          "not installed", "pip install 'backend-labs[author]'")
        found = [(file, one) for file, one in found if one.kind != "sql"]
    used = list(dict.fromkeys(one for file, text in found for one in _used(file, text)))
    if not (lab / FILE).exists():
        if used:
            file, line, kind, name = used[0]
            yield Finding(FILE, None, "no-storage-contract", f"is not there, and {file}:{line} uses the {kind} "
                          f"{name}", "say in storage.md which names the checks read and plant")
        return
    page = read_text(lab, FILE)
    yield from [page] if isinstance(page, Finding) else _unnamed(page, used)


def _unnamed(page: str, used: Sequence[Used]) -> Iterator[Finding]:
    contract = read_contract(page)
    said: set[tuple[str, str, str]] = set()
    for file, line, kind, name in used:
        if kind == "key":
            shown, named = name.split(HOLE)[0] + ("..." if HOLE in name else ""), contract.has_key(name)
        else:
            shown, named = name, contract.has_words(name)
        if not named and (file, kind, name) not in said:
            said.add((file, kind, name))
            yield Finding(file, line, "unknown-storage", f"uses the {kind} {shown}, which {FILE} does not name"
                          + did_you_mean(shown, contract.words if kind != "key" else contract.keys), FIX)


def _used(file: CheckFile, text: Text) -> Iterator[Used]:
    """The names in one text, without those that the service itself has."""
    if text.kind == "sql":
        yield from ((file.name, text.line, one.kind, one.name) for one in sql.names(text.text, text.speakers))
    elif not any(fnmatchcase(text.text.lower(), own) for names in text.speakers for own in names.reserved):
        yield file.name, text.line, text.kind, text.text
