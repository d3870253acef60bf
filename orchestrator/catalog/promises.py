"""A lab's promises: what ``openapi.yaml``, ``storage.md`` and the briefs bind a server to, each with a name. Pure.

A sentence is named by an anchor at its end, ``<a id="seat-sold-once"></a>``: invisible where Markdown is rendered, and
a place to link to. A sentence that says again what is named elsewhere points there: ``<a href="#seat-sold-once"></a>``.
A response, a parameter or a schema of ``openapi.yaml`` has ``x-promise: seat-sold-once``, or ``x-promise: "#..."``.

Descriptions in ``openapi.yaml`` are Markdown. Of a brief only what is below ``## Build`` binds. A lab that names no
promise anywhere has none; with its first one every sentence that binds needs a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from orchestrator.system.text import ANCHOR, without_anchors

if TYPE_CHECKING:
    from pathlib import Path

    Node = Any
    """Of PyYAML, whose nodes say no more to a type checker."""

OPENAPI = "openapi.yaml"
STORAGE = "storage.md"
BUILD = "build"
"""The heading of a brief below which sentences bind."""
KEY = "x-promise"
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
BINDING = re.compile(
    r"\b(must|may not|never|always|only|exactly|at least|at most|within|at once|answers|stores|refuses|(is|are) refused"
    r"|ignored|harmless)\b|`[2-5]\d\d\b", re.IGNORECASE)
"""Words that bind, and statuses. What is named beside is a promise, too."""
PERMITS = re.compile(r"\bmay\b(?! not)|\bneed not\b|\bis right\b", re.IGNORECASE)
STRICT = re.compile(r"\b(must|may not|never|always|only)\b", re.IGNORECASE)
"""Binds also in a sentence that permits something."""
LIMITS = frozenset({"enum", "const", "minLength", "maxLength", "pattern", "format", "minimum", "maximum", "multipleOf",
                    "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "minProperties", "default"})
"""What makes a schema of ``openapi.yaml`` a promise of its own."""
METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace"})
SHOWN = 160
_END = re.compile(rf"[.!?](?:\s*{ANCHOR.pattern})*(?=\s|$)|(?<=>)\s+(?=[A-Z`*])")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
_RULE = re.compile(r"\s*\|?[\s:|-]+\|[\s:|-]*$")


@dataclass(frozen=True, slots=True)
class Place:
    """Something that binds or names. ``name`` is ``""`` for what binds and has none."""

    file: str
    line: int
    text: str
    name: str = ""
    kind: Literal["sentence", "node"] = "sentence"
    cited: bool = False
    """It points to a promise that is named elsewhere."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Promises:
    """Every place of a lab that names a promise, points to one, or binds without a name."""

    places: tuple[Place, ...]

    @property
    def named(self) -> tuple[Place, ...]:
        """The promises, in the order of their files."""
        return tuple(one for one in self.places if one.name and not one.cited)

    @property
    def cited(self) -> tuple[Place, ...]:
        return tuple(one for one in self.places if one.cited)

    @property
    def bare(self) -> tuple[Place, ...]:
        """What binds and has no name; nothing in a lab that names no promise."""
        return tuple(one for one in self.places if not one.name) if self.named else ()

    def __contains__(self, name: object) -> bool:
        return any(one.name == name for one in self.named)


def read_promises(lab: Path, briefs: Sequence[str]) -> Promises:
    """Those of a lab's folder; ``briefs`` relative to it. A file that cannot be read promises nothing: lint says so."""
    texts = {}
    for name in (OPENAPI, STORAGE, *briefs):
        try:
            texts[name] = (lab / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return promises_in(texts)


def promises_in(texts: Mapping[str, str]) -> Promises:
    """Name of a file -> its text. ``openapi.yaml`` is read as YAML, ``storage.md`` whole, the rest as briefs."""
    found: list[Place] = []
    for name, text in texts.items():
        if name == OPENAPI:
            found += _in_openapi(name, text)
        else:
            found += in_markdown(name, text, below=None if name == STORAGE else BUILD)
    return Promises(tuple(found))


# --- Markdown -------------------------------------------------------------------------------------------------------


def in_markdown(file: str, text: str, *, below: str | None = None, first: int = 1) -> Iterator[Place]:
    """The sentences of a page that bind or have a name. ``first``: the number of its first line in ``file``."""
    for line, block in _blocks(text, below):
        for offset, sentence in sentences(block):
            at = first + line + block.count("\n", 0, offset)
            yield from _sentence(file, at, sentence)


def _sentence(file: str, line: int, sentence: str) -> Iterator[Place]:
    anchors = list(ANCHOR.finditer(sentence))
    begin = 0
    for anchor in anchors:
        # A sentence with two promises has an anchor behind each; one right behind another names the same words.
        said = sentence[begin:anchor.start()]
        text = words(said) or words(sentence)
        yield Place(file, line + sentence.count("\n", 0, anchor.start()), text, anchor.group(3),
                    cited=anchor.group(1) == "href")
        begin = anchor.end() if said.strip() else begin
    if not anchors and binds(sentence):
        yield Place(file, line, words(sentence))


def binds(sentence: str) -> bool:
    """Whether a sentence asks something of a server. One that ends with a colon leaves that to its list."""
    if sentence.rstrip().endswith(":") or not BINDING.search(sentence):
        return False
    return not PERMITS.search(sentence) or STRICT.search(sentence) is not None


def words(text: str) -> str:
    """A sentence on one line, without marks of lists, tables and anchors."""
    return " ".join(_ITEM.sub("", without_anchors(text), count=1).replace("|", " ").split()).strip(" ;,")


def sentences(block: str) -> Iterator[tuple[int, str]]:
    """Where each sentence of a paragraph, list item or table row begins, and the sentence with its anchors."""
    # What is in backticks ends no sentence.
    plain = re.sub(r"`[^`]*`", lambda found: "`" + "x" * (len(found.group()) - 2) + "`", block)
    begin = 0
    for end in _END.finditer(plain):
        if plain[end.end():].lstrip()[:1].islower() and not ANCHOR.search(end.group()):
            continue  # "1. ..", "etc. and"
        yield begin, block[begin:end.end()]
        begin = end.end()
    if block[begin:].strip():
        yield begin, block[begin:]


def _blocks(text: str, below: str | None) -> Iterator[tuple[int, str]]:
    """Line (from 0) and text of each paragraph, list item and table row; no headings, no code."""
    inside, fenced, kept = below is None, False, list[str]()
    start, table = 0, False
    for number, line in enumerate([*text.splitlines(), ""]):
        fence = line.lstrip().startswith("```")
        heading = line.startswith("#") and not fenced
        row = line.lstrip().startswith("|")
        code = fenced or fence or (line.startswith("    ") and not kept)
        if kept and (not line.strip() or heading or fence or row or _ITEM.match(line)):
            yield start, "\n".join(kept)
            kept = []
        fenced ^= fence
        if heading:
            inside = below is None or line.lstrip("#").strip().lower() == below
        if heading or code or not inside or not line.strip() or (row and (not table or _RULE.match(line))):
            table = row  # the first row of a table is its head
            continue
        table = row
        start = start if kept else number
        kept.append(line)


# --- openapi.yaml ---------------------------------------------------------------------------------------------------


def _in_openapi(file: str, text: str) -> Iterator[Place]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        root = yaml.compose(text, Loader=loader)
    except (yaml.YAMLError, RecursionError):
        return
    if root is not None:
        yield from _Document(file, text).walk(root, ())


class _Document:
    """One ``openapi.yaml``: its nodes, each once, wherever an alias repeats it."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._seen: set[int] = set()

    def walk(self, node: Node, path: tuple[str, ...]) -> Iterator[Place]:
        """What binds in a node and below it."""
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if node.id == "sequence":
            for number, inner in enumerate(node.value):
                yield from self.walk(inner, (*path, str(number)))
        elif node.id == "mapping":
            held = {key.value: value for key, value in node.value}
            yield from self._node(node, held, path)
            for name, inner in held.items():
                if name == "description" and _says_sentences(path):
                    yield from self._description(inner)
                elif name not in ("example", "examples", KEY):
                    yield from self.walk(inner, (*path, name))

    def _node(self, node: Node, held: Mapping[str, Node], path: tuple[str, ...]) -> Iterator[Place]:
        line = node.start_mark.line + 1
        text = _shown(held, path)
        if KEY in held:
            given = held[KEY]
            for one in given.value if given.id == "sequence" else [given]:
                name = str(one.value)
                yield Place(self._file, one.start_mark.line + 1, text, name.removeprefix("#"), "node",
                            cited=name.startswith("#"))
        elif _is_response(path) or (_is_schema(path) and LIMITS & held.keys()) or _limits_a_parameter(held):
            yield Place(self._file, line, text, kind="node")

    def _description(self, node: Node) -> Iterator[Place]:
        if node.style in ("|", ">"):
            begin = node.start_mark.line + 1
            text = "\n".join(self._lines[begin:node.end_mark.line])
            indent = min((len(one) - len(one.lstrip()) for one in text.splitlines() if one.strip()), default=0)
            text = "\n".join(one[indent:] for one in text.splitlines())
            yield from in_markdown(self._file, text, first=begin + 1)
        else:
            yield from in_markdown(self._file, str(node.value), first=node.start_mark.line + 1)


def _pairs(node: Node) -> list[Any]:
    return list(node.value) if node.id == "mapping" else []


def _says_sentences(path: tuple[str, ...]) -> bool:
    """Whether a description here stands for itself: that of a response or a schema is part of its own promise."""
    return path == ("info",) or (path[:1] in (("paths",), ("tags",)) and len(path) <= 3 and "responses" not in path)


def _is_response(path: tuple[str, ...]) -> bool:
    return len(path) == 5 and path[0] == "paths" and path[2] in METHODS and path[3] == "responses"


def _limits_a_parameter(held: Mapping[str, Node]) -> bool:
    return "schema" in held and "in" in held and bool(LIMITS & {key.value for key, _ in _pairs(held["schema"])})


def _is_schema(path: tuple[str, ...]) -> bool:
    """A schema that is not a parameter's: there the parameter has the name."""
    return (path[-2:-1] in (("properties",), ("allOf",), ("anyOf",), ("oneOf",)) or path[-1:] == ("items",)
            or (path[:2] == ("components", "schemas") and len(path) == 3))


def _shown(held: Mapping[str, Node], path: tuple[str, ...]) -> str:
    """``POST /buyers 422: invalid``; ``NewBuyer.name: minLength 1, maxLength 200``."""
    said = str(held["description"].value) if "description" in held else ""
    if _is_response(path):
        return f"{path[2].upper()} {path[1]} {path[4]}: {said}"
    schema = dict(_plain(held["schema"])) if "schema" in held and "in" in held else {
        name: _value(node) for name, node in held.items()}
    name = str(held["name"].value) if "in" in held and "name" in held else ".".join(
        part for part in path if part not in ("components", "schemas", "properties", "paths", "schema", "content",
                                              "application/json", "responses", "parameters"))
    limits = ", ".join(f"{key} {schema[key]}" for key in schema if key in LIMITS)
    return ": ".join(part for part in (name, limits or said) if part)[:SHOWN]


def _plain(node: Node) -> Iterator[tuple[str, str]]:
    for key, value in _pairs(node):
        yield str(key.value), _value(value)


def _value(node: Node) -> str:
    # One level: aliases can make a small file's sequences hold each other a billion times.
    if node.id == "sequence":
        return " or ".join(_word(one) for one in node.value)
    return _word(node)


def _word(node: Node) -> str:
    return str(node.value) if node.id == "scalar" else "..."
