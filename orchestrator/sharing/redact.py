"""Secrets and names taken out of text that a learner is about to give away. Pure, and linear in the text's length.

In doubt a value goes: a helper can do without it. Ordinary words stay: ``primary key``, ``token: unexpected end`` and
``password=os.environ["X"]`` say nothing secret, and without them nobody can help.

What any service may write is known here: ``scheme://user:secret@``, ``password '...'``, pairs. What only one has, its
own statements and settings, comes with ``KnownSecrets``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

IsSecret = Callable[[str, str], bool]
REMOVED = "[removed]"
PERSON = "[user]"

EVERYBODY = frozenset({
    "root", "user", "users", "admin", "administrator", "ubuntu", "debian", "runner", "vagrant", "student", "learner",
    "guest", "test", "dev", "developer", "docker", "labs", "app", "home", "nobody", "codespace", "vscode", "gitpod",
    "node", "python", "server", "default", "public", "main",
})
"""Names of accounts that say nothing about a person, and are ordinary words of any log; beside those of services."""

ALWAYS = ("password", "passwords", "passwd", "passphrase", "secret", "secrets", "apikey", "credential", "credentials")
LAST = ("token", "pwd", "authorization")
SHORT = ("pass", "pw", "auth")
ABOUT = frozenset({
    "length", "len", "min", "max", "count", "policy", "field", "reset", "url", "uri", "file", "path", "changed", "at",
    "required", "strength", "hint", "name", "id", "ttl", "expiry", "expires", "type", "valid", "ok", "error", "method",
})
"""Last parts of a key that say something about a secret, and not what it is."""
KEYS_OF = frozenset({
    "api", "access", "private", "secret", "signing", "signature", "encryption", "auth", "jwt", "ssh", "tls", "ssl",
    "master", "license", "service", "session", "account", "storage", "app", "admin", "deploy", "rsa", "hmac", "aws",
})
"""What stands before ``key`` when it is a secret: ``api_key``, not ``primary_key`` or ``cache_key``."""
ORDINARY = frozenset({
    "true", "false", "null", "none", "nil", "undefined", "str", "string", "text", "varchar", "bytes", "byte", "int",
    "integer", "number", "bool", "boolean", "any", "object", "optional", "required", "missing", "invalid", "expired",
    "empty", "wrong", "incorrect", "unexpected", "not", "to", "is", "and", "or", "for", "with", "in", "if", "must",
    "was", "cannot", "option", "flag", "the", "a", "an", "self", "this", "await", "new", "const", "let",
})

_PEM = r"-----{} (?:[A-Z0-9]+ ){{0,4}}PRIVATE KEY(?: BLOCK)?-----"
_BEGIN, _END = _PEM.format("BEGIN"), _PEM.format("END")
_BREAK = r"(?:\s|\\[rn])"
_BLOCK = re.compile(rf"{_BEGIN}.{{0,8000}}?{_END}", re.DOTALL)
_BLOCK_HEAD = re.compile(rf"{_BEGIN}(?:{_BREAK}{{1,4}}[A-Za-z0-9+/=]{{16,}})*")
_BLOCK_TAIL = re.compile(
    rf"(?<![A-Za-z0-9+/=])(?:[A-Za-z0-9+/=]{{16,100}}{_BREAK}{{1,4}})+(?:[A-Za-z0-9+/=]{{1,100}}{_BREAK}{{1,4}})?\Z")

_PLACE = r"(?:%[sdvq]|\$?\{{1,2}[\w.]*\}{1,2}|<[\w -]*>|\*+|password|PASSWORD|\[removed\])"
"""What stands for a password in a program or a manual."""
_URL = re.compile(
    rf"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{{0,30}}://[^\s:/?#@\"'<>`]{{0,200}}:)(?!{_PLACE}@)"
    r"(?!\d{1,5}(?:[/?#,\s]|$))([^\s/\"'<>`]{1,500})@")
_WEB = r"(?:[\w.-]{1,20}\+)?(?:https?|wss?|file|s?ftps?|ssh|git)"
_STORE_URL = re.compile(
    rf"(?<![A-Za-z0-9+.-])(?!(?i:{_WEB})://)([A-Za-z][A-Za-z0-9+.-]{{0,30}}://[^\s:/?#@\"'<>`]{{0,200}}:)(?!{_PLACE}@)"
    r"(?!\d{1,5}(?:[/?#,\s]|$))([^\s\"'<>`@]{1,500})@")
"""Of any service, whose password may have a slash where a person typed it. On the web that is a path."""
_GO_DSN = re.compile(rf"(?<![\w.:/-])([\w.-]{{1,60}}:)(?!{_PLACE}@)([^\s@\"'`]{{1,200}})(?=@(?:tcp|unix)\()")

_HINT = re.compile(r"(?i)pass|pwd|pw|secret|token|credential|key|auth")
"""Without one of these no name in the text can hold a secret."""
_NAME = r"(?P<key>(?<![\w.-])(?:--)?[A-Za-z_][\w.-]{0,80})"
_OPENED = re.compile(
    rf"{_NAME}(?:\\?[\"'])?\]?\s{{0,4}}(?::=|=>|[!=]?={{1,2}}|:)\s{{0,4}}(?P<open>\\?[\"'`])")
"""``"KEY": "``, ``KEY = '``, and the same inside another string: ``\"KEY\":\"``."""
_CLOSED = {
    opened: re.compile(rf"(?:\\[^\n]|(?!{opened})[^\\\n])*") for opened in "\"'`"
} | {
    f"\\{opened}": re.compile(
        rf"(?:\\\\(?:\\.|[^\\\n])|\\(?![\\{opened}\n]).|(?!{opened})[^\\\n])*") for opened in "\"'`"
}
"""What stands in these quotes; of a text that was cut, all to the end of its line."""
_LINE = re.compile(
    r"^[ \t]{0,40}(?:-[ \t]{1,9})?(?:(?:export|set|env|ENV|ARG)[ \t]{1,9})?(?P<key>[A-Za-z_][\w.-]{0,80})"
    r"[ \t]{0,9}(?P<sign>[:=])[ \t]{0,9}(?P<value>[^\s\"'`][^\r\n]*)", re.MULTILINE)
_BARE = re.compile(rf"{_NAME}(?:\\?[\"'])?=(?P<value>[^\s&\"'`,;)}}\]\\]+)")
_SPOKEN = re.compile(rf"{_NAME}(?:\\?[\"'])?[ \t]{{0,2}}:[ \t]{{0,2}}(?P<value>[^\s\"'`,;)}}\]\\]+)")
_FLAG = re.compile(r"(?<!\S)(?P<key>--[A-Za-z][\w-]{0,60})[ \t]{1,4}(?P<value>[^\s\"'`-][^\s\"'`]*)")
_HEADER = re.compile(
    r"(?P<key>(?<![\w-])(?:[Xx]-[\w-]{1,60}|[Aa]uthorization))[\"']?:[ \t]{0,4}(?P<value>[^\s\"'`,;][^\r\n\"'`,;]*)")
_SCHEME = re.compile(r"(?<![A-Za-z])(Bearer|Basic|bearer|basic)([ \t]+)(?=[\w.~+/=-]{0,200}[\d.+/=_-])[\w.~+/=-]{16,}")
_SQL = re.compile(
    rf"(?i)(\b(?:password|identified by)\s{{1,4}})(?![\"']{_PLACE}[\"'])('(?:[^'\n]|'')+'|\"[^\"\n]+\")")
"""Of all databases that have users."""
_USER_FLAG = re.compile(r"((?<!\S)(?:-u|--user)[ =]?[\"']?[\w.@-]{1,60}:)(?!\[removed\]|\d+(?!\S))([^\s\"']+)")
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9_-])(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|sk-[\w-]{20,}|"
    r"AKIA[0-9A-Z]{16}|AIza[\w-]{35}|xox[abprs]-[\w-]{10,}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{40,}|"
    r"eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*)")


class Says(Protocol):
    """What a service says of its own texts (``services.parts.Sight``)."""

    @property
    def secrets(self) -> Collection[str]: ...

    @property
    def secret_names(self) -> Collection[str]: ...


@dataclass(frozen=True, slots=True)
class KnownSecrets:
    """What services say: ``patterns`` with a group ``secret``, ``names`` of settings; ``accounts`` are nobody's."""

    patterns: tuple[re.Pattern[str], ...] = ()
    names: tuple[str, ...] = ()
    accounts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, services: Mapping[str, Says]) -> KnownSecrets:
        """Of these services, by their names."""
        patterns = dict.fromkeys(pattern for one in services.values() for pattern in one.secrets)
        return cls(tuple(map(re.compile, patterns)),
                   tuple(dict.fromkeys(name for one in services.values() for name in one.secret_names)),
                   frozenset(services))


NOTHING = KnownSecrets()


def redact(
    text: str, *, homes: Collection[str] = (), users: Collection[str] = (), known: KnownSecrets = NOTHING
) -> str:
    """``text`` without passwords, tokens, private keys, the home folders' paths (``~``) and the users' names."""
    text = _without_private_keys(text)
    for pattern in (_URL, _STORE_URL, _GO_DSN, _USER_FLAG):
        text = pattern.sub(lambda found: f"{found[1]}{REMOVED}{'@' if found[0].endswith('@') else ''}", text)
    text = _SQL.sub(lambda found: f"{found[1]}{found[2][0]}{REMOVED}{found[2][0]}", text)
    for pattern in known.patterns:
        text = pattern.sub(_without_group, text)
    text = _SCHEME.sub(rf"\1\2{REMOVED}", text)
    if _HINT.search(text) or any(name in text.lower() for name in known.names):
        text = _without_pairs(text, known.names)
    text = _KNOWN.sub(REMOVED, text)
    return _without_person(text, homes, users, EVERYBODY | known.accounts)


def redact_values(
    data: Any, *, homes: Collection[str] = (), users: Collection[str] = (), known: KnownSecrets = NOTHING
) -> Any:
    """The same for every string in JSON values, also the names of members."""
    if isinstance(data, str):
        return redact(data, homes=homes, users=users, known=known)
    if isinstance(data, Mapping):
        return {redact(key, homes=homes, users=users, known=known):
                redact_values(value, homes=homes, users=users, known=known) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [redact_values(value, homes=homes, users=users, known=known) for value in data]
    return data


def is_secret(key: str, value: str = "", names: tuple[str, ...] = ()) -> bool:
    """Whether a key of this name holds a secret. ``KEY=`` alone does; ``key`` alone only if its value looks random.

    ``names``: last words of more such keys.
    """
    words: list[str] = [word.lower() for part in re.split(r"[\W_]+", key)
                        for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", part)]
    while words and words[-1].isdigit():
        words.pop()
    if not words or words[-1] in ABOUT:
        return False
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if any(word.endswith(ALWAYS) for word in words):
        return True
    if last.endswith((*LAST, *names)):
        return before not in ("next", "page", "cursor", "continuation", "cancel", "stop", "unexpected")
    if last in SHORT:
        return bool(before) and not value.isdigit()
    if last == "key":
        return before in KEYS_OF or (not before and (key == "KEY" or _looks_random(value)))
    return last.endswith(("apikey", "accesskey", "secretkey", "privatekey"))


def _looks_random(value: str) -> bool:
    return bool(re.fullmatch(r"[\w+/=-]{20,}", value) and re.search(r"\d", value) and re.search(r"[A-Za-z]", value))


def _without_group(found: re.Match[str]) -> str:
    """A match without its group ``secret``."""
    start, end = (place - found.start() for place in found.span("secret"))
    return f"{found[0][:start]}{REMOVED}{found[0][end:]}" if start >= 0 else found[0]


def _without_pairs(text: str, names: tuple[str, ...]) -> str:
    def secret(key: str, value: str) -> bool:
        return is_secret(key, value, names)

    text = _without_quoted(text, secret)
    for pattern in (_HEADER, _LINE, _BARE, _SPOKEN, _FLAG):
        text = pattern.sub(lambda found: _bare(found, secret), text)
    return text


def _without_quoted(text: str, secret: IsSecret) -> str:
    """Quoted values: a head is found first, so that a pair inside another pair's value is seen, too."""
    parts: list[str] = []
    done = 0
    for head in _OPENED.finditer(text):
        if head.start() < done:
            continue
        found = _CLOSED[head["open"]].match(text, head.end())
        value = found[0] if found else ""
        if secret(head["key"], value) and re.search(r"\w", value) and not _is_harmless(value):
            scheme = _scheme(value)
            parts += [text[done: head.end()], scheme, REMOVED]
            done = head.end() + len(value)
    return "".join([*parts, text[done:]])


def _bare(found: re.Match[str], secret: IsSecret) -> str:
    """An unquoted pair, its value gone if the key holds a secret and the value is one."""
    key, value = found["key"], found["value"]
    if not secret(key, value):
        return found[0]
    kept = found[0][: found.start("value") - found.start()]
    rest = ""
    if found.re is _LINE:
        whole = value
        value = re.split(r"[ \t]#", whole, maxsplit=1)[0].rstrip()
        rest = whole[len(value):]
        if " " in value and not (key.isupper() and found["sign"] == "="):
            # ``token: unexpected end of input`` is a sentence; ``SECRET=two words`` is not.
            return found[0]
    if found.re is _SPOKEN and re.fullmatch(r"[A-Za-z]+[.!?]*", value):
        return found[0]
    if not re.search(r"\w", value) or _is_harmless(value) or _is_code(value, key, secret):
        return found[0]
    return kept + _scheme(value) + REMOVED + rest


def _scheme(value: str) -> str:
    found = re.match(r"(?i)(?:bearer|basic|token|digest)\s+", value)
    return found[0] if found else ""


def _is_harmless(value: str) -> bool:
    return REMOVED in value or value.rstrip(".,;").lower() in ORDINARY or re.fullmatch(_PLACE, value) is not None


def _is_code(value: str, key: str, secret: IsSecret) -> bool:
    """An unquoted value that is an expression, a type or a variable, not the secret itself."""
    if value.startswith(("$", "%", "<", "{", "(", "[")):
        return True
    if re.match(r"[A-Za-z_][\w.]*[(\[]", value):
        return True
    words = value.rstrip(",;")
    return bool(re.fullmatch(r"[A-Za-z_][\w.]*", words)) and (secret(words, "") or words.lower() == key.lower())


def _without_private_keys(text: str) -> str:
    if "PRIVATE KEY" not in text:
        return text
    marker = "[private key removed]"
    text = _BLOCK.sub(marker, text)
    text = _BLOCK_HEAD.sub(marker, text)
    # A log's tail may begin inside a block.
    while found := re.search(_END, text):
        before, window = text[: max(0, found.start() - 8000)], text[max(0, found.start() - 8000): found.start()]
        text = before + _BLOCK_TAIL.sub("", window) + marker + text[found.end():]
    return text


def _without_person(text: str, homes: Collection[str], users: Collection[str], everybody: frozenset[str]) -> str:
    for home in sorted({home.rstrip("/") for home in homes}, key=len, reverse=True):
        if home:
            text = re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w-]|\.\w)", "~", text)
    for user in users:
        name = re.escape(user)
        if len(user) < 3 or user.lower() in everybody:
            # Where it can only be a folder of a person it still goes.
            if user.lower() not in everybody and user:
                text = re.sub(rf"((?:/home|/Users)/){name}(?![\w-])", rf"\1{PERSON}", text)
            continue
        text = re.sub(rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])", PERSON, text)
    return text
