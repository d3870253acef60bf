"""How Redis' own words are read: which commands are the same, and where a password stands in them."""

from __future__ import annotations

import re

from orchestrator.services.parts import Sight

_WORD = re.compile(r"'.*?'(?=\s|$)|\S+", re.DOTALL)
_ID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|\d+")
_OPTION = re.compile(r"[A-Z]{2,}")
_VALUE = r"(?:\\.|[^\"\\\n])*"


def shape(text: str) -> str:
    """A command, its key without numbers and ids, its options: ``SET hold:?:? ? NX PX ?``."""
    found = _WORD.findall(text)
    words = [*(one.upper() for one in found[:1]), *(_ID.sub("?", one) for one in found[1:2])]
    for other in found[2:]:
        word = other if _OPTION.fullmatch(other) else "?"
        if word != words[-1]:
            words.append(word)
    return " ".join(words)


SIGHT = Sight(
    entry="command",
    entries="commands",
    legend="monitor: Redis' own list of commands.",
    shape=shape,
    secrets=(
        r"(?i)\b(?:requirepass|masterauth)[ \t]+(?P<secret>(?![\"'\[=:])\S+)",
        r"(?i)\b(?:requirepass|masterauth)[ \t]+'(?P<secret>[^'\n]+)'",
        rf"(?i)\b(?:requirepass|masterauth)\"?[ \t]+\"(?P<secret>{_VALUE})\"",
        # AUTH password, AUTH user password, and HELLO 3 AUTH user password, as MONITOR has them.
        rf"(?i)\"auth\" \"(?P<secret>{_VALUE}(?:\" \"{_VALUE})?)\"",
        # The rules of a user, as a command and as a line of redis.conf.
        r"(?i)\bsetuser\b[^\n]{0,500}?[ \t\"']>(?P<secret>[^\s\"']+)",
        r"(?im)^user [\w.-]{1,100} [^\n]{0,500}?[ \t]>(?P<secret>\S+)",
    ),
    secret_names=("requirepass", "masterauth"),
)
