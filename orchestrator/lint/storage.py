"""Whether ``storage.md``, which binds the learner, names everything that checks read and plant.

Named is what stands in ``storage.md`` in backticks or in a block of code; in tables without backticks every word of
them; in a page with none of these every word. Looked at are texts that are given to the fixture ``postgres`` or to
``execute`` of a connection, and other strings that begin as a statement does (``sql.names`` says what is seen in them);
keys and hash fields that are given to the fixture ``redis`` and its ``client``, up to the first part that only a run
knows. Not seen: SQL and keys that are put together elsewhere, keys inside scripts and pipelines, services other than
these two, and whether a column belongs to the table beside which it is named.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import did_you_mean
from orchestrator.lint import sql
from orchestrator.lint.check_files import HOLE, CheckFile, CheckFiles, keyword, text_of
from orchestrator.lint.finding import Finding, read_text

FILE = "storage.md"
SQL_FIXTURE, SQL_METHODS = "postgres", frozenset({"rows", "one", "value", "plant", "refused", "admin"})
REDIS_FIXTURE, REDIS_METHODS = "redis", frozenset({"get", "pttl", "type", "keys", "zset", "plant", "delete"})
CLIENT_METHODS = sql.words("""
    append decr decrby delete exists expire expireat get getdel getex getrange getset hdel hexists hget hgetall hincrby
    hincrbyfloat hkeys hlen hmget hset hsetnx hvals incr incrby incrbyfloat lindex linsert llen lpop lpush lrange lrem
    lset ltrim persist pexpire pexpireat psetex pttl rpop rpush sadd scard set setex setnx setrange sismember smembers
    spop srem strlen ttl type xadd xlen xrange xread xrevrange zadd zcard zcount zincrby zrange zrangebyscore zrank zrem
    zrevrange zrevrank zscore
""")
FIELD_METHODS = frozenset({"hdel", "hexists", "hget", "hincrby", "hincrbyfloat", "hset", "hsetnx"})
OWN_KEYS = "labs-"
"""Keys that begin so are the checker's own."""
FIX = f"name it in {FILE}, in backticks, or use what is named there"

Names = Mapping[str, ast.expr]


@dataclass(frozen=True)
class StorageContract:
    """What ``storage.md`` names: words, and the beginnings of keys that have a variable part (``hold:``)."""

    words: frozenset[str]
    keys: frozenset[str]
    beginnings: tuple[str, ...]

    def has_key(self, key: str) -> bool:
        """Whether a key, or its known beginning (then it ends with ``HOLE``), is named."""
        fixed = re.split(rf"[{HOLE}*?\[]", key, maxsplit=1)[0]
        if not fixed or fixed.startswith(OWN_KEYS) or key in self.keys:
            return True
        if any(fixed.startswith(beginning) for beginning in self.beginnings):
            return True
        # A beginning that is itself cut short: the rest may be anything that is named.
        return fixed != key and any(one.startswith(fixed) for one in (*self.beginnings, *self.keys))


def read_contract(text: str) -> StorageContract:
    """What a ``storage.md`` names."""
    blocks = re.findall(r"^```.*?^```", text, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\s*\|.*$", text, re.MULTILINE)
    spans = re.findall(r"(`+)(.+?)\1", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    plain_rows = [] if any("`" in row for row in rows) else rows
    named = [*blocks, *plain_rows, *(span for _, span in spans)] or [text]
    tokens = {token for part in named for token in re.findall(r"[^\s`|,;()]+", part)}
    variable = {re.split(r"[{<*\[]|\$\{", token, maxsplit=1)[0] for token in tokens if re.search(r"[{<*\[]", token)}
    return StorageContract(
        frozenset(word.lower() for part in named for word in re.findall(r"\w+", part)),
        frozenset(tokens),
        tuple(sorted(variable - {""})),
    )


def findings(lab: Path, check_files: CheckFiles) -> Iterator[Finding]:
    """Names that checks use and the contract does not say."""
    used = [(file, *one) for file in check_files.by_name.values() for one in _used(file)]
    if not (lab / FILE).exists():
        if used:
            file, line, kind, name = used[0]
            yield Finding(FILE, None, "no-storage-contract", f"is not there, and {file.name}:{line} uses the {kind} "
                          f"{name}", "say in storage.md which names the checks read and plant")
        return
    text = read_text(lab, FILE)
    if isinstance(text, Finding):
        yield text
        return
    contract = read_contract(text)
    for file, line, kind, name in used:
        if kind == "key":
            shown, named = name.split(HOLE)[0] + ("..." if HOLE in name else ""), contract.has_key(name)
        else:
            shown, named = name, name.lower() in contract.words
        if not named:
            yield Finding(file.name, line, "unknown-storage", f"uses the {kind} {shown}, which {FILE} does not name"
                          + did_you_mean(shown, contract.words if kind != "key" else contract.keys), FIX)


def _used(file: CheckFile) -> Iterator[tuple[int, str, str]]:
    """Line, kind and name of everything that a file uses, each kind and name once."""
    seen: set[tuple[str, str]] = set()
    for line, kind, name in (one for node in ast.walk(file.tree)
                             for one in _named(file, node, file.names_at(node))):
        if (kind, name) not in seen:
            seen.add((kind, name))
            yield line, kind, name


def _named(file: CheckFile, node: ast.AST, names: Names) -> Iterator[tuple[int, str, str]]:
    if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
        text = text_of(node, names)
        if text is not None and sql.looks_like_sql(text):
            yield from ((node.lineno, one.kind, one.name) for one in sql.names(text))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        on, method = file.dotted(node.func.value), node.func.attr
        first = text_of(node.args[0], names) if node.args else None
        if first is None:
            return
        if (on == SQL_FIXTURE and method in SQL_METHODS) or (method == "execute" and on.split(".")[0] != REDIS_FIXTURE):
            yield from ((node.lineno, one.kind, one.name) for one in sql.names(first))
        elif (on == REDIS_FIXTURE and method in REDIS_METHODS) or (
                on == f"{REDIS_FIXTURE}.client" and method in CLIENT_METHODS):
            yield node.lineno, "key", first
            if method in FIELD_METHODS:
                yield from ((node.lineno, "field", one) for one in _fields(node, names))


def _fields(call: ast.Call, names: Names) -> Iterator[str]:
    """The fields of a hash that a command names."""
    found = [text_of(call.args[1], names)] if len(call.args) > 1 else []
    mapping = keyword(call, "mapping")
    if isinstance(mapping, ast.Dict):
        found += [text_of(key, names) for key in mapping.keys if key is not None]
    yield from (one for one in found if one is not None and HOLE not in one)
