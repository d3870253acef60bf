"""MySQL's own SQL, as far as it must be read: values and comments. As by default, ``"x"`` is a text, not a name."""

from __future__ import annotations

import re

_STRING = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\""
_COMMENT = r"#[^\n]*|--(?=\s|\Z)[^\n]*|/\*(?!!)(?:.*?\*/|.*)"
"""Not ``/*! ... */``: what stands in it is run."""
_NUMBER = r"(?<![$\w.])(?:0x[0-9A-Fa-f]+|0b[01]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)(?![$\w])"
_TOKEN = re.compile(
    rf"(?P<comment>{_COMMENT})|(?P<string>(?:_\w+\s*|\b[xXbBnN])?(?:{_STRING}))|(?P<number>{_NUMBER})"
    r"|`(?P<quoted>(?:[^`]|``)*)`|(?P<word>[^\W\d][\w$]*)|(?P<mark>\?)", re.DOTALL)
_PARAMETERS = re.compile(r"  \[.*\Z", re.DOTALL)
"""As ``wire.py`` puts them behind a prepared statement; the end may be cut off."""
_LISTS = (re.compile(r"\?(?:\s*,\s*\?)+"), re.compile(r"\(\?\)(?:\s*,\s*\(\?\))+"))
_LEADING = re.compile(rf"\A(?:\s*(?:{_COMMENT}))+", re.DOTALL)


def one_line(text: str) -> str:
    """The statement on one line, without the comments before it and the semicolon behind it."""
    return " ".join(_LEADING.sub("", text).split()).rstrip("; ")


def without_values(text: str, *, comments: bool = True) -> str:
    """``?`` in place of each text and number. ``comments=False``: a space in place of each comment, too."""

    def put(token: re.Match[str]) -> str:
        if token["comment"] is not None:
            return token[0] if comments else " "
        return "?" if token["string"] is not None or token["number"] is not None else token[0]

    return _TOKEN.sub(put, text)


def marks_in(text: str) -> int:
    """How many parameters a statement to be prepared has: its ``?`` outside texts, names and comments."""
    return sum(token["mark"] is not None for token in _TOKEN.finditer(text))


def shape(text: str) -> str:
    """A statement without values, comments and the lengths of lists: ``SELECT a FROM b WHERE c IN (?)``."""
    text = without_values(_PARAMETERS.sub("", text), comments=False)
    for several, one in zip(_LISTS, ("?", "(?)"), strict=True):
        text = several.sub(one, text)
    return " ".join(text.split())
