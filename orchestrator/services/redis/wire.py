"""What a client says to Redis, read from the bytes of one connection: commands, as ``redis-cli`` would have them."""

from __future__ import annotations

from orchestrator.services.base import Heard

MOST_WORDS = 12
MOST_LETTERS = 40
SECRET = frozenset({b"AUTH", b"HELLO"})
"""Commands with a password in their arguments."""
BLOCKING = frozenset({b"BLPOP", b"BRPOP", b"BLMOVE", b"BLMPOP", b"BRPOPLPUSH", b"BZPOPMIN", b"BZPOPMAX", b"BZMPOP",
                      b"WAIT", b"WAITAOF"})
BLOCKING_IF_SAID = frozenset({b"XREAD", b"XREADGROUP"})
"""Commands that are answered when something happens: with ``BLOCK``."""
LONGEST = 64 * 1024 * 1024


class RedisEar:
    """See ``Ear``. What it cannot read (a connection that it joins in the middle of a command) it passes over."""

    def __init__(self) -> None:
        self._rest = b""

    def hear(self, data: bytes) -> Heard:
        self._rest += data
        commands = []
        while self._rest:
            found = _command(self._rest)
            if found is None:
                break
            words, size = found
            self._rest = self._rest[size:]
            if words:
                commands.append(words)
        if len(self._rest) > LONGEST:
            self._rest = b""
        # Who waits for news waits all the time: a step that never ends would keep every run from settling.
        asks = not commands or not all(map(_waits, commands))
        return Heard("; ".join(map(_text, commands)), "; ".join(map(_kind, commands)), not self._rest, asks)


def _command(data: bytes) -> tuple[list[bytes], int] | None:
    """The first command and its size in bytes; no words for what is none; ``None`` if its end is not there yet."""
    line, found, _ = data.partition(b"\r\n")
    if not found:
        return ([], len(data)) if b"\n" in data else None
    place = len(line) + 2
    if not line.startswith(b"*"):
        return line.split(), place
    try:
        words = []
        for _ in range(int(line[1:])):
            size, found, _ = data[place:place + 32].partition(b"\r\n")
            if not found:
                return None
            begin = place + len(size) + 2
            place = begin + int(size[1:]) + 2
            if place > len(data):
                return None
            words.append(data[begin:place - 2])
    except ValueError:
        return [], len(data)
    return words, place


def _waits(words: list[bytes]) -> bool:
    name = words[0].upper()
    return name in BLOCKING or (name in BLOCKING_IF_SAID and b"BLOCK" in (word.upper() for word in words[1:6]))


def _kind(words: list[bytes]) -> str:
    return words[0].upper().decode(errors="replace")


def _text(words: list[bytes]) -> str:
    if words[0].upper() in SECRET:
        return _kind(words)
    shown = [_short(word.decode(errors="replace")) for word in words[1:MOST_WORDS]]
    return " ".join([_kind(words), *shown, *(["..."] if len(words) > MOST_WORDS else [])])


def _short(word: str) -> str:
    word = " ".join(word.split()) if word.strip() else repr(word)
    word = word if len(word) <= MOST_LETTERS else word[:MOST_LETTERS - 3] + "..."
    return f"'{word}'" if " " in word else word
