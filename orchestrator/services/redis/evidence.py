"""What Redis itself shows: keys, expiries, command counts, reads from sockets, clients. Straight from it, as admin.

Redis counts commands and reads of all clients together. The checker's connection therefore keeps its own books, and
what it sent itself is taken off. A count that ran backwards is ``ServiceLost``: then somebody restarted or reset it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.checks.errors import SchemaWrong, ServiceLost

_SECONDS = 5.0
_COMMAND = "cmdstat_"


class _Books:
    """What the checker's own connections sent: commands by name, and trips (one read of Redis' each)."""

    def __init__(self) -> None:
        self.commands: Counter[str] = Counter()
        self.trips = 0

    def connection_class(self) -> type[redis.Connection]:
        """A connection that writes everything it sends into these books.

        An endless script of the learner's raises ``SchemaWrong``, whoever asks: the reader, or a check its ``client``.
        """
        books = self

        class Counting(redis.Connection):
            def send_command(self, *args: Any, **kwargs: Any) -> Any:
                books.commands.update(_names(args))
                return super().send_command(*args, **kwargs)  # type: ignore[no-untyped-call]

            def pack_commands(self, commands: Any) -> Any:
                commands = list(commands)
                for command in commands:
                    books.commands.update(_names(command))
                return super().pack_commands(commands)  # type: ignore[no-untyped-call]

            def send_packed_command(self, command: Any, check_health: bool = True) -> Any:
                books.trips += 1
                return super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]

            def read_response(self, *args: Any, **kwargs: Any) -> Any:
                try:
                    return super().read_response(*args, **kwargs)
                except redis.ResponseError as error:
                    if not str(error).startswith("BUSY "):
                        raise
                    what = "Redis, while a script (EVAL or FCALL) of your server runs"
                    raise SchemaWrong("schema-script-endless", what, "an answer: a script ends within 5 s",
                                      str(error)) from error

        return Counting


@dataclass(slots=True)
class Commands:
    """Calls by command (upper case; ``CONFIG|GET`` for sub-commands) while the block ran; empty until it has ended.

    ``rejected``: commands that Redis refused before running them (rights, wrong arguments).
    """

    calls: dict[str, int] = field(default_factory=dict)
    rejected: int = 0


@dataclass(slots=True)
class Reads:
    """How often Redis read from the target's sockets while the block ran; 0 until it has ended."""

    count: int = 0


class Redis:
    """The fixture ``redis`` of checks, from what ``Recipe.admin`` gives. See ``docs/checks-api.md``."""

    def __init__(self, admin: Mapping[str, str]) -> None:
        self._user = admin["user"]
        self._books = _Books()
        pool = redis.ConnectionPool.from_url(
            admin["url"], connection_class=self._books.connection_class(), decode_responses=True, protocol=2,
            # A learner may have stored any bytes: what is no text equals no text, and can be shown and asked for.
            encoding_errors="surrogateescape",
            socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS, client_name="labs-checks",
            retry=Retry(NoBackoff(), 1))
        self.client: redis.Redis = redis.Redis(connection_pool=pool)

    def close(self) -> None:
        """Let go of all connections."""
        self.client.connection_pool.disconnect()

    # --- keys ------------------------------------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        """The string at the key, or ``None``."""
        value: str | None = _asked(key, "a string", lambda: self.client.get(key))
        return value

    def pttl(self, key: str) -> int | None:
        """Milliseconds until the key expires; ``None`` without a key, -1 without an expiry."""
        left: int = _asked(key, "a key", lambda: self.client.pttl(key))
        return None if left == -2 else left

    def type(self, key: str) -> str:
        """``string``, ``zset``, ...; ``none`` without a key."""
        return str(_asked(key, "a key", lambda: self.client.type(key)))

    def keys(self, pattern: str) -> list[str]:
        """All keys that match, sorted; by SCAN, so that nothing has to wait."""
        return sorted(set(_asked(pattern, "a pattern", lambda: list(self.client.scan_iter(match=pattern, count=1000)))))

    def zset(self, key: str) -> list[tuple[str, float]]:
        """Members and scores of a sorted set, highest first; empty without a key."""
        found = _asked(key, "a sorted set", lambda: self.client.zrevrange(key, 0, -1, withscores=True))
        return [(member, float(score)) for member, score in found]

    def plant(self, key: str, value: str | int, *, px: int | None = None) -> None:
        """Set a string, with an expiry in milliseconds if given. Replaces whatever was there."""
        _asked(key, "a string", lambda: self.client.set(key, value, px=px))

    def delete(self, key: str) -> bool:
        """Remove a key; whether there was one."""
        return bool(_asked(key, "a key", lambda: self.client.delete(key)))

    def flush(self) -> None:
        """Remove everything from Redis."""
        _asked("", "", self.client.flushall)

    # --- counters --------------------------------------------------------------------------------------------------

    @contextmanager
    def commands(self) -> Iterator[Commands]:
        """Which commands others than the checker sent while the block ran (those inside scripts, too)."""
        result = Commands()
        _asked("", "", self.client.ping)  # a new connection's greetings come before the first reading
        own_before, before = Counter(self._books.commands), self._info("commandstats")
        yield result
        own_after, after = Counter(self._books.commands), self._info("commandstats")
        own = own_after - own_before
        for name, now in after.items():
            then = before.get(name, {"calls": 0})
            command = name.removeprefix(_COMMAND).upper()
            calls = _on_top(then, now, "calls") - own[command]
            if calls > 0:
                result.calls[command] = calls
            result.rejected += _on_top(then, now, "rejected_calls")
        if before.keys() - after.keys():
            raise ServiceLost("redis", "its command counters were reset during the measurement")

    @contextmanager
    def reads(self) -> Iterator[Reads]:
        """How often Redis read from clients other than the checker while the block ran."""
        result = Reads()
        before, trips_before = self._info("stats"), self._books.trips
        yield result
        # The trip that asks for the second reading is part of that reading.
        after, trips_after = self._info("stats"), self._books.trips
        result.count = _on_top(before, after, "total_reads_processed") - (trips_after - trips_before)

    def clients(self) -> list[dict[str, str]]:
        """The connections of the learner's user now, as ``CLIENT LIST`` shows them."""
        found = _asked("", "", self.client.client_list)
        return [dict(client) for client in found if client.get("user") == self._user]

    def written(self) -> str:
        """Another value whenever a key was changed."""
        info = self._info("persistence")
        return f"{info['rdb_last_save_time']}/{info['rdb_changes_since_last_save']}"

    def _info(self, section: str) -> dict[str, Any]:
        info: dict[str, Any] = _asked("", "", lambda: self.client.info(section))
        return info


def _names(command: tuple[Any, ...]) -> list[str]:
    """The name under which Redis counts a command that the checker sends: ``GET``, ``CONFIG|GET``.

    Both forms for a command of two words; only one of them exists in Redis' counts.
    """
    words = [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in command[:2]]
    words = [*words[0].split(), *words[1:]]
    first = words[0].upper()
    return [first] if len(words) == 1 else [first, f"{first}|{words[1].upper()}"]


def _on_top(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> int:
    difference = int(after.get(name, 0)) - int(before.get(name, 0))
    if difference < 0:
        raise ServiceLost("redis", "its counters were reset during the measurement")
    return difference


def _asked(key: str, wanted: str, ask: Callable[[], Any]) -> Any:
    """An answer; a key of another type is the schema's fault, everything else the service's."""
    try:
        return ask()
    except redis.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            seen = "a key of another type"
            raise SchemaWrong("schema-wrong-type", f"the key {key} in Redis", wanted, seen) from error
        raise ServiceLost("redis", str(error)) from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ServiceLost("redis", str(error)) from error


reader = Redis
