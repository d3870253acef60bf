"""Expectations: strict, and their failures teach."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from orchestrator.checks import expect
from orchestrator.checks.answer import Response
from orchestrator.checks.errors import Failed, MachineSlow, ServiceLost, TargetTimeout, TargetWrong
from orchestrator.checks.words import shown
from orchestrator.judge.control import ControlServer

EXCHANGE = {"method": "GET", "path": "/x", "response": "the body"}


def answer(status: int = 200, body: str = "{}") -> Response:
    return Response(status, {"content-type": "application/json"}, body.encode(), 0.01, dict(EXCHANGE) | {"response": body})


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A control that answers at once."""
    with ControlServer() as server:
        monkeypatch.setattr(expect, "_control_port", server.port)
        yield


@pytest.fixture
def slow_control(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A control that takes 0.3 s to answer: what a machine looks like that does not let its processes run."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        while data := connection.recv(64):
                            time.sleep(0.3)
                            connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setattr(expect, "_control_port", listener.getsockname()[1])
        yield
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("expected", "seen"), [
    (1, 1), (1, 1.0), (Decimal(5), 5), ("a", "a"), (None, None), (True, True), ([1, 2], (1, 2)),
    ([("a", 1)], [["a", 1]]), ({"a": [1]}, {"a": [1]}),
])
def test_what_is_equal(expected: object, seen: object) -> None:
    """Equal as JSON means it; rows and lists alike."""
    expect.equal(expected, seen, "them", reason="r")


@pytest.mark.parametrize(("expected", "seen"), [
    (1, True), (True, 1), (0, False), (1, "1"), ("1", 1), (None, False), (None, 0), ("", None), ([1], [True]),
    ([1], [1, 1]), ({"a": 1}, {"a": True}), ({"a": 1}, {"a": 1, "b": 2}), ([1, 2], [2, 1]),
    (float("nan"), float("nan")), ([1], {"0": 1}),
], ids=repr)
def test_t14_what_is_nearly_equal(expected: object, seen: object) -> None:
    """``1`` is neither ``true`` nor ``"1"``; NaN is nothing; nothing is forgiven inside lists and objects."""
    with pytest.raises(Failed) as caught:
        expect.equal(expected, seen, "them", reason="near-miss")

    assert (caught.value.reason, caught.value.what) == ("near-miss", "them")
    assert (caught.value.expected, caught.value.seen) == (shown(expected), shown(seen))


@pytest.mark.parametrize(("value", "text"), [
    (True, "true"), ("a\"é", '"a\\"é"'), (None, "nothing (null)"), ([("a", None)], '[["a", null]]'),
    ({"a": 1.5}, '{"a": 1.5}'), (Decimal("1.5"), "1.5"), ([date(2026, 1, 2)], '["2026-01-02"]'),
    ({("a", 1): 2, 3: None}, '{"[\\"a\\", 1]": 2, "3": null}'), (b"caf\xc3\xa9 \xff", '"café \\\\xff"'), ([1.0, 2.5], "[1, 2.5]"),
    (Decimal("4.00"), "4"), ({2, 1}, "[1, 2]"), (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00+00:00"'),
    (float("nan"), "NaN"), ({"a": {"b": (1, {"c": Decimal(3)})}}, '{"a": {"b": [1, {"c": 3}]}}'),
])
def test_values_are_shown_as_json(value: object, text: str) -> None:
    """Nobody has to know Python to read a failure."""
    assert shown(value) == text


def test_what_holds_itself_is_shown_up_to_a_depth() -> None:
    endless: list[object] = []
    endless.append(endless)

    assert shown(endless).endswith('"..."' + "]" * 21)


def test_a_check_may_say_values_and_they_are_shown_as_json() -> None:
    """A sentence stays as it is."""
    with pytest.raises(Failed) as caught:
        expect.true(False, "a sale", "partial-sale", expected={"balance": 1000, "orders": 0}, seen="half of it")

    assert (caught.value.expected, caught.value.seen) == ('{"balance": 1000, "orders": 0}', "half of it")


def test_numbers_are_shown_as_a_reader_writes_them() -> None:
    with pytest.raises(Failed) as caught:
        expect.at_most(4.0, 1 / 3 + 5, "it", reason="r")
    assert (caught.value.expected, caught.value.seen) == ("at most 4", "5.33333")

    with pytest.raises(Failed) as wrong:
        expect.field({"seat": 4.0}, "seat", int, reason="r")
    assert (wrong.value.what, wrong.value.seen) == ("the field `seat` of the object", "4.0"), "that is what is wrong"


@pytest.mark.parametrize(("function", "good", "bad"), [
    (expect.at_most, [(3, 3), (3, 2)], (3, 4)),
    (expect.at_least, [(3, 3), (3, 4)], (3, 2)),
    (expect.between, [(1, 3, 1), (1, 3, 3)], (1, 3, 4)),
    (expect.between, [(1, 3, 2)], (1, 3, 0)),
    (expect.at_most, [], (3, float("nan"))),
])
def test_bounds(function: Any, good: list[tuple[float, ...]], bad: tuple[float, ...]) -> None:
    """Both edges belong to the range, NaN to none."""
    for numbers in good:
        function(*numbers, "it", reason="r")
    with pytest.raises(Failed):
        function(*bad, "it", reason="r")


def test_truth_and_failing() -> None:
    """``true`` and ``fail`` carry their words."""
    expect.true([1], "it", reason="r")
    with pytest.raises(Failed, match="r: it; expected more; seen less"):
        expect.true([], "it", reason="r", expected="more", seen="less")
    with pytest.raises(Failed, match="r: it"):
        expect.fail("it", reason="r")


def test_messages_are_short_and_harmless() -> None:
    """T17: what the server made up is cut to 400 characters, and no terminal obeys it."""
    with pytest.raises(Failed) as caught:
        expect.fail("it", "r", seen="begin\x1b[2J\u202e\n" + "x" * 10_000 + "\x9bend")

    assert len(caught.value.seen) <= 400
    assert caught.value.seen.isprintable()
    assert caught.value.seen.startswith("begin\\x1b[2J\\u202e\\n")
    assert caught.value.seen.endswith("\\x9bend")


def test_status() -> None:
    """One of the statuses and, if asked, one of the codes; the exchange goes along."""
    expect.status(answer(201), 200, 201, reason="r")
    expect.status(answer(409, '{"code": "seat_sold", "message": "Sold."}'), 409, reason="r", code="seat_sold")
    expect.status(answer(409, '{"code": "limit_4", "message": ""}'), 409, 402, reason="r", code=("seat_sold", "limit_4"))
    with pytest.raises(Failed) as caught:
        expect.status(answer(500, "oh\x1bno"), 200, 404, reason="refused")

    assert (caught.value.reason, caught.value.what) == ("refused", "the answer to GET /x")
    assert (caught.value.expected, caught.value.seen) == ("200 or 404", "500 oh\\x1bno")
    assert caught.value.exchange == EXCHANGE | {"response": "oh\x1bno"}


@pytest.mark.parametrize("body", ['{"code": "other"}', '{"code": ["seat_sold"]}', '["seat_sold"]', "seat_sold", "{}", ""])
def test_codes_that_are_not_there(body: str) -> None:
    """Another code, one of another type, no object, no JSON: the check's reason each time."""
    with pytest.raises(Failed) as caught:
        expect.status(answer(409, body), 409, reason="r", code="seat_sold")

    assert caught.value.reason == "r"
    assert caught.value.expected == "409 with code seat_sold"


@pytest.mark.parametrize("message", ["", ', "message": null', ', "message": ["Sold."]'])
def test_an_error_has_words_for_people(message: str) -> None:
    """The right code without a message, or with one that is no text."""
    with pytest.raises(Failed, match="a message, a string for people"):
        expect.status(answer(409, f'{{"code": "seat_sold"{message}}}'), 409, reason="r", code="seat_sold")


@pytest.mark.parametrize(("body", "type_", "value"), [
    ('{"a": 1}', int, 1), ('{"a": 1}', float, 1), ('{"a": 1.5}', float, 1.5), ('{"a": true}', bool, True),
    ('{"a": null}', (str, type(None)), None), ('{"a": []}', list, []), ('{"a": {}}', None, {}), ('{"a": "x"}', str, "x"),
])
def test_fields(body: str, type_: Any, value: object) -> None:
    """The field of a response or of an object in it, with its JSON type."""
    assert expect.field(answer(body=body), "a", type_, reason="r") == value
    assert expect.field(answer(body=body).json(), "a", type_, reason="r") == value


@pytest.mark.parametrize(("body", "type_"), [
    ("{}", None), ("[]", str), ('{"a": true}', int), ('{"a": 1}', bool), ('{"a": 1.0}', int), ('{"a": "1"}', int),
    ('{"a": null}', str), ('{"a": {}}', (list, str)),
])
def test_fields_that_are_wrong(body: str, type_: Any) -> None:
    """A field that is missing or of another JSON type fails with the check's reason."""
    with pytest.raises(Failed) as caught:
        expect.field(answer(body=body), "a", type_, reason="shape")

    assert caught.value.reason == "shape"
    assert "GET /x" in caught.value.what


def test_several_fields_at_once() -> None:
    """Those that are asked for have these values, in JSON's strict sense; more are fine. A dict will do, too."""
    body = '{"a": 1, "b": [true, null], "c": "more"}'
    expect.fields(answer(body=body), {"a": 1, "b": [True, None]}, "the thing", reason="r")
    expect.fields(answer(body=body).json(), {"c": "more"}, "the thing", reason="r")


@pytest.mark.parametrize(("body", "expected", "seen"), [
    ('{"a": true, "b": 2}', '{"a": 1}', '{"a": true}'), ('{"b": 2}', '{"a": 1}', "{}"),
    ('{"a": "1", "b": 3}', '{"a": 1, "b": 2}', '{"a": "1", "b": 3}'), ("[]", "a JSON object", "[]"),
])
def test_several_fields_of_which_some_differ(body: str, expected: str, seen: str) -> None:
    """The failure shows those that differ, and no other."""
    with pytest.raises(Failed) as caught:
        expect.fields(answer(body=body), {"a": 1, "b": 2}, "the thing", reason="shape")

    assert (caught.value.reason, caught.value.what) == ("shape", "the thing")
    assert (caught.value.expected, caught.value.seen) == (expected, seen)


def test_no_json_is_the_servers_own_failure() -> None:
    """``field`` of a body that is not JSON is ``not-json``, whatever the check's reason is."""
    with pytest.raises(TargetWrong) as caught:
        expect.field(answer(body="<html>"), "a", str, reason="shape")

    assert caught.value.reason == "not-json"


def test_eventually_asks_until_it_is_right(control: None) -> None:
    """A value, a predicate, and an answer that was a failure at first."""
    answers: Iterator[Any] = iter([0, TargetWrong("no-answer", "GET /x"), 1, 2])

    def ask() -> int:
        value = next(answers)
        if isinstance(value, Exception):
            raise value
        return int(value)

    assert expect.eventually(ask, 1, within=5, what="it", reason="r") == 1
    assert expect.eventually(ask, lambda value: value > 1, within=5, what="it", reason="r") == 2


def test_eventually_never(control: None) -> None:
    """What never gets right fails with the last answer; it was asked many times."""
    asked: list[int] = []
    with pytest.raises(Failed) as caught:
        expect.eventually(lambda: asked.append(1) or len(asked), -1, within=0.5, what="it", reason="r")

    assert caught.value.expected == "-1 within 0.5 s"
    assert caught.value.seen == str(len(asked))
    assert len(asked) > 2


def test_eventually_too_late(control: None) -> None:
    """An answer that was asked for in time and came too late is too late, however right it is."""
    with pytest.raises(Failed) as caught:
        expect.eventually(lambda: time.sleep(1.8) or 1, 1, within=1.2, what="it", reason="r")

    assert "too late" in caught.value.seen


def test_eventually_hides_nothing_of_ours(control: None) -> None:
    """A lost service, or a mistake in the check, is not waited for."""
    for error in (ServiceLost("redis", "gone"), KeyError("x")):
        with pytest.raises(type(error)):
            expect.eventually(lambda error=error: (_ for _ in ()).throw(error), 1, within=5, what="it", reason="r")


def test_within(control: None) -> None:
    """In time: the value. Late: the check's reason and how long it took."""
    assert expect.within(5, lambda: 7, what="it", reason="r") == 7
    with pytest.raises(Failed) as caught:
        expect.within(0.5, lambda: time.sleep(0.8), what="it", reason="slow")

    assert (caught.value.reason, caught.value.expected) == ("slow", "within 0.5 s")
    assert caught.value.seen.startswith("after 0.")


def test_within_of_a_server_that_says_nothing(control: None) -> None:
    """A time-out of the client is the answer that was late, with its exchange; another failure stays what it is."""

    def silent() -> None:
        time.sleep(0.6)
        late = TargetTimeout("too-slow", "GET /x")
        late.exchange = dict(EXCHANGE)
        raise late

    with pytest.raises(Failed) as caught:
        expect.within(0.5, silent, what="it", reason="slow")
    assert (caught.value.reason, caught.value.exchange) == ("slow", EXCHANGE)

    with pytest.raises(TargetWrong):
        expect.within(0.5, lambda: (_ for _ in ()).throw(TargetWrong("no-answer", "x")), what="it", reason="slow")


def test_a_slow_machine_judges_nobody(slow_control: None) -> None:
    """Late, and the control in the same window was late, too: ``MachineSlow``, for ``within`` and ``eventually``."""
    with pytest.raises(MachineSlow, match="too slow to judge it"):
        expect.within(0.5, lambda: time.sleep(0.8), what="it", reason="slow")


def test_a_slow_machine_excuses_eventually(slow_control: None) -> None:
    """The same where a state is waited for."""
    with pytest.raises(MachineSlow):
        expect.eventually(lambda: 0, 1, within=0.5, what="it", reason="r")


def test_what_is_in_time_needs_no_excuse(slow_control: None) -> None:
    """A server that is in time on a slow machine has passed; a late control beside a long limit excuses nobody."""
    assert expect.within(5, lambda: time.sleep(0.1) or 1, what="it", reason="r") == 1
    with pytest.raises(Failed):
        expect.eventually(lambda: 0, 1, within=2.5, what="it", reason="r")


def test_no_control_no_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no control could be timed, a late server is not blamed."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    monkeypatch.setattr(expect, "_control_port", port)
    with pytest.raises(MachineSlow, match="no control"):
        expect.within(0.1, lambda: time.sleep(0.2), what="it", reason="slow")


def test_a_process_that_was_not_let_run_is_excused(control: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control counts its own stalls, also one that lasts to the end of the window."""
    real = threading.Event.wait

    def stalled(event: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread() is not threading.main_thread() and timeout == expect.EVERY:
            time.sleep(0.5)
        return real(event, timeout)

    monkeypatch.setattr(threading.Event, "wait", stalled)
    with pytest.raises(MachineSlow):
        expect.within(0.3, lambda: time.sleep(0.4), what="it", reason="slow")
