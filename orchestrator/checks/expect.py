"""Judging: each function raises ``Failed(reason, what, expected, seen)`` and so gives a failure that teaches."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol, TypeVar, overload

from orchestrator.checks.errors import Failed, Judged, MachineSlow, TargetTimeout
from orchestrator.checks.words import said, short
from orchestrator.checks.words import shown as shown

T = TypeVar("T")

EVERY = 0.02
CONTROL_SHARE = 0.2
"""A control that took more than this part of a limit says that the machine, not the server, may have used up the time.

A local echo takes well below a millisecond; limits here are seconds. An answer passes a handful of such hops (check,
server, proxy, service and back), each of which may stall as the control did: five stalls of a fifth make a whole limit.
"""

CONTROL_PATIENCE = 10.0

_control_port: int | None = None


class ResponseLike(Protocol):
    """What ``status`` and ``field`` need of a response."""

    status: int
    exchange: dict[str, object]

    def json(self) -> Any:
        """The body."""


def set_control(port: int) -> None:
    """Where the supervisor echoes lines, for the controls of timed expectations."""
    global _control_port
    _control_port = port


def fail(what: str, reason: str, expected: object = "", seen: object = "") -> NoReturn:
    """Fail the check. ``expected`` and ``seen``: sentences, or values, which are shown as JSON."""
    raise Failed(reason, what, short(said(expected)), short(said(seen)))


def true(condition: object, what: str, reason: str, expected: object = "", seen: object = "") -> None:
    """``condition`` holds; the rest as for ``fail``."""
    if not condition:
        fail(what, reason, expected, seen)


def equal(expected: object, seen: object, what: str, reason: str) -> None:
    """Equal, in JSON's strict sense: ``1`` is neither ``true`` nor ``"1"``."""
    if not same(expected, seen):
        fail(what, reason, shown(expected), shown(seen))


def at_most(limit: float, seen: float, what: str, reason: str) -> None:
    """``seen <= limit``."""
    if not seen <= limit:
        fail(what, reason, f"at most {_number(limit)}", _number(seen))


def at_least(limit: float, seen: float, what: str, reason: str) -> None:
    """``seen >= limit``."""
    if not seen >= limit:
        fail(what, reason, f"at least {_number(limit)}", _number(seen))


def between(low: float, high: float, seen: float, what: str, reason: str) -> None:
    """``low <= seen <= high``."""
    if not low <= seen <= high:
        fail(what, reason, f"from {_number(low)} to {_number(high)}", _number(seen))


def status(response: ResponseLike, *allowed: int, reason: str, code: str | tuple[str, ...] | None = None) -> None:
    """The response has one of these statuses and, with ``code``, an error body: (one of) this code, and a message."""
    exchange = response.exchange
    request = f"{exchange.get('method')} {exchange.get('path')}"
    codes = (code,) if isinstance(code, str) else code
    wanted = " or ".join(str(one) for one in allowed)
    if codes:
        wanted += " with code " + " or ".join(codes)
    if response.status not in allowed:
        _about(exchange, Failed(reason, f"the answer to {request}", wanted, f"{response.status} {_body(exchange)}"))
    if codes is not None:
        try:
            body = response.json()
        except Judged as error:
            _about(exchange, Failed(reason, f"the answer to {request}", wanted, f"{response.status}, {error.what}"))
        if not isinstance(body, dict) or body.get("code") not in codes:
            _about(exchange, Failed(reason, f"the answer to {request}", wanted, f"{response.status} {_body(exchange)}"))
        if not isinstance(body.get("message"), str):
            wanted += " and a message, a string for people"
            _about(exchange, Failed(reason, f"the answer to {request}", wanted, f"{response.status} {_body(exchange)}"))


@overload
def field(source: Any, name: str, type_: type[T], reason: str) -> T: ...
@overload
def field(source: Any, name: str, type_: tuple[type[Any], ...] | None, reason: str) -> Any: ...
def field(source: Any, name: str, type_: Any, reason: str) -> Any:
    """The field ``name`` of a response's JSON object (or of a dict), with this JSON type; ``None``: any type."""
    exchange = getattr(source, "exchange", None)
    body = source.json() if exchange is not None else source
    where = f"the answer to {exchange.get('method')} {exchange.get('path')}" if exchange else "the object"
    if not isinstance(body, dict) or name not in body:
        _about(exchange, Failed(reason, where, f"a JSON object with the field `{name}`", short(shown(body))))
    value = body[name]
    if type_ is not None and not _is(value, type_):
        types = type_ if isinstance(type_, tuple) else (type_,)
        wanted = " or ".join(_JSON_TYPES.get(one, one.__name__) for one in types)
        _about(exchange, Failed(reason, f"the field `{name}` of {where}", wanted, short(shown(value, exact=True))))
    return value


def fields(source: Any, expected: Mapping[str, object], what: str, reason: str) -> None:
    """The JSON object (a response's, or a dict) has these fields with these values, as ``equal`` sees it.

    More fields are fine. The failure shows the fields that differ; one that is missing is not among those seen.
    """
    exchange = getattr(source, "exchange", None)
    body = source.json() if exchange is not None else source
    if not isinstance(body, dict):
        _about(exchange, Failed(reason, what, "a JSON object", short(shown(body))))
    differing = [name for name, value in expected.items() if name not in body or not same(value, body[name])]
    if differing:
        wanted, seen = ({name: of[name] for name in differing if name in of} for of in (expected, body))
        _about(exchange, Failed(reason, what, short(shown(wanted)), short(shown(seen))))


_JSON_TYPES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false", list: "a list",
               dict: "an object", type(None): "null"}


def _is(value: object, type_: Any) -> bool:
    types = type_ if isinstance(type_, tuple) else (type_,)
    return any(type(value) is one or (one is float and type(value) is int) for one in types)


def eventually(
    function: Callable[[], T], expected: Any, *, within: float, what: str, reason: str
) -> T:
    """Ask again every 20 ms until the answer is right or ``within`` seconds are over.

    ``expected`` is a value or a predicate. A ``Judged`` raised by ``function`` counts as an answer that is not right,
    and so does one that comes too late, however right. If a control was late, too: ``MachineSlow``.
    """
    predicate = expected if callable(expected) else lambda value: same(expected, value)
    end = time.monotonic() + within
    with _Control() as control:
        while True:
            seen: str
            try:
                value = function()
                late = time.monotonic() - end
                if predicate(value):
                    if late <= 0:
                        return value
                    seen = f"{shown(value)}, {late:.2f} s too late"
                    break
                seen = shown(value)
            except Judged as error:
                seen = str(error)
            if time.monotonic() >= end:
                break
            time.sleep(EVERY)
    control.excuse(within, what)
    wanted = "the right answer" if callable(expected) else shown(expected)
    return fail(what, reason, f"{wanted} within {within:g} s", seen)


def within(seconds: float, function: Callable[[], T], *, what: str, reason: str) -> T:
    """``function`` returns within ``seconds``. If a control in the same window was late, too: ``MachineSlow``."""
    began = time.monotonic()
    with _Control() as control:
        try:
            value = function()
        except TargetTimeout as error:
            exchange, seen = error.exchange, f"nothing for {time.monotonic() - began:.2f} s"
        else:
            took = time.monotonic() - began
            if took <= seconds:
                return value
            exchange, seen = getattr(value, "exchange", None), f"after {took:.2f} s"
    control.excuse(seconds, what)
    return _about(exchange, Failed(reason, what, f"within {seconds:g} s", seen))


class _Control:
    """Small exchanges with the supervisor, one after the other, while something is timed; remembers the slowest."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._broken: OSError | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> _Control:
        if _control_port is not None:
            began = time.monotonic()
            self._thread = threading.Thread(target=self._run, args=(_control_port, began), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(CONTROL_PATIENCE)

    def excuse(self, limit: float, what: str) -> None:
        """Raise ``MachineSlow`` if the control was slow beside this limit (seconds), or did not answer at all."""
        if self._broken is not None:
            raise MachineSlow(f"no control could be timed beside {what}: {self._broken}")
        if self._worst > limit * CONTROL_SHARE:
            raise MachineSlow(f"this machine is too slow to judge {what}: a local exchange took {self._worst:.2f} s")

    def _run(self, port: int, began: float) -> None:
        try:
            self._exchange(port, began)
        except OSError as error:
            self._broken = error

    def _exchange(self, port: int, last: float) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=CONTROL_PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                connection.sendall(b".\n")
                if not connection.recv(16):
                    raise ConnectionError("the supervisor closed the control")
                now = time.monotonic()
                ended = self._ended.wait(EVERY)
                # The pause counts as far as it was longer than asked for: then this thread was not let run.
                self._worst = max(self._worst, now - last, time.monotonic() - now - EVERY)
                if ended:
                    return
                last = time.monotonic()


def same(expected: object, seen: object) -> bool:
    """Equality as JSON means it: types count, ``NaN`` equals nothing; lists and tuples are both lists."""
    if isinstance(expected, list | tuple) and isinstance(seen, list | tuple):
        return len(expected) == len(seen) and all(map(same, expected, seen))
    if isinstance(expected, dict) and isinstance(seen, dict):
        return expected.keys() == seen.keys() and all(same(expected[key], seen[key]) for key in expected)
    if isinstance(expected, bool) or isinstance(seen, bool):
        return isinstance(expected, bool) and isinstance(seen, bool) and expected is seen
    if isinstance(expected, float) and math.isnan(expected):
        return False
    return bool(expected == seen)


def _number(value: float) -> str:
    """A bound, or what was measured: ``4``, not ``4.0``; six digits are enough."""
    return shown(float(f"{value:.6g}") if isinstance(value, float) else value)


def _body(exchange: dict[str, object]) -> str:
    return short(str(exchange.get("response", "")))


def _about(exchange: dict[str, object] | None, error: Failed) -> NoReturn:
    error.exchange = exchange
    raise error
