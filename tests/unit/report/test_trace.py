"""A time line as blocks, as text and as a page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.html import Elements

from orchestrator.model import Record, Verdict
from orchestrator.report import trace_html, trace_terminal
from orchestrator.report.timeline import Mark, Request, Timeline, Words, from_data, to_data
from orchestrator.report.trace import MOST_BLOCKS, blocks, lines, shape

BAD = "<script>alert(1)</script>\x1b[2J"


def request(at: float, path: str = "/events", *, seconds: float = 0.1, check: str = "m/test_a", status: int | None = 200,
            body: str = "") -> Request:
    return Request(at, seconds, check, "GET", path, body, status, '{"items": []}')


def sql(at: float, text: str = "SELECT 1", **values: Any) -> Record:
    return Record("postgres", at, text, "log+plan", seconds=0.001, rows=1, session="s", **values)


def timeline(*, requests: tuple[Request, ...] = (), records: tuple[Record, ...] = (), marks: tuple[Mark, ...] = (),
             failed: tuple[str, ...] = ("m/test_a",)) -> Timeline:
    return Timeline("m", "Fifty events", Verdict.FAIL if failed else Verdict.PASS, "n-plus-one" if failed else "", 7,
                    {"m/test_a": "Check A.", "m/test_b": "Check B."}, failed, requests, records, marks,
                    {"postgres": "PostgreSQL 18 (genuine)"}, {"redis": "up to a moment"},
                    {"postgres": Words("statement", "statements", f"log: its own log{BAD}"), "redis": Words(BAD, BAD)})


def told(one: Timeline, **options: Any) -> list[tuple[str, int, list[str]]]:
    """Kind, number of requests, and texts of each block."""
    return [(block.kind, len(block.requests), [line.record.text for line in block.lines] or [block.text])
            for block in blocks(one, **options)]


def test_records_belong_to_the_request_during_which_they_began() -> None:
    """Before the first: the start. Between two: nobody's."""
    one = timeline(requests=(request(10.0), request(11.0)),
                   records=(sql(9.0, "CREATE"), sql(10.05, "A"), sql(10.5, "B"), sql(11.1, "C")))

    assert told(one) == [("start", 0, ["CREATE"]), ("request", 1, ["A"]), ("between", 0, ["B"]), ("request", 1, ["C"])]
    assert [round(block.at, 2) for block in blocks(one)] == [0.0, 1.0, 1.5, 2.0]


def test_a_record_belongs_to_the_request_in_which_the_link_saw_it_sent() -> None:
    """Two requests two milliseconds apart: the service's own stamp, in whole milliseconds, lies in the one before."""
    one = timeline(requests=(request(10.0), request(10.102)),
                   records=(sql(10.05, "A", sent=10.0501), sql(10.1, "B", sent=10.1031), sql(10.15, "C", sent=10.1499)))

    assert told(one) == [("request", 1, ["A"]), ("request", 1, ["B", "C"])]


def test_work_after_the_answer_is_of_no_request() -> None:
    """Where the link saw it, there is no slack."""
    one = timeline(requests=(request(10.0), request(11.0)), records=(sql(10.1, "A", sent=10.1015),))

    assert told(one) == [("request", 1, [""]), ("between", 0, ["A"]), ("request", 1, [""])]


def test_requests_that_overlap_are_one_block() -> None:
    one = timeline(requests=(request(10.0, seconds=1), request(10.5, seconds=0.2), request(11.5)),
                   records=(sql(10.1), sql(10.9)))

    assert [(kind, count) for kind, count, _ in told(one)] == [("request", 2), ("request", 1)]


def test_only_the_failed_checks_are_shown_unless_all_are_wanted() -> None:
    one = timeline(requests=(request(10.0, check="m/test_b"), request(11.0)), marks=(Mark(10.5, "redis is stopped"),))

    assert [(kind, count) for kind, count, _ in told(one)] == [("request", 1)]
    assert len(told(one, everything=True)) == 3
    assert len(told(timeline(requests=one.requests, failed=()))) == 2


def test_what_is_done_to_a_server_in_the_middle_of_a_request_stands_between_its_records() -> None:
    """Where it was held, killed or cut is seen between what the services had recorded before and after it."""
    one = timeline(requests=(request(10.0, seconds=1.0),), marks=(Mark(9.0, "before"), Mark(10.2, "held before B")),
                   records=(sql(10.1, "A"), sql(10.3, "B")))

    assert told(one, everything=True) == [("mark", 0, ["before"]), ("request", 1, ["A", "held before B", "B"])]
    assert blocks(one)[-1].counts == {"postgres": 2}
    assert "~~ held before B" in trace_terminal.render(one)
    assert "held before B" in trace_html.render(one)


def test_a_long_statement_at_which_a_server_was_held_takes_two_lines() -> None:
    """The record of it, a few lines below, takes no more either."""
    one = timeline(requests=(request(10.0, seconds=1.0),), marks=(Mark(10.2, f"held before {'SELECT ' * 60}z"),))
    told_of_it = trace_terminal.render(one, width=80).split("~~ ")[1]

    assert told_of_it.splitlines()[1].endswith(" ...")
    assert "z" not in told_of_it


def test_fifty_statements_of_one_shape_are_a_line_and_a_count() -> None:
    """The first, the repeated one, the count; what they took is added up."""
    records = [sql(1.0, "SELECT * FROM events"), *(
        sql(1.0, f"SELECT count(*) FROM tickets WHERE event_id = $1  [$1 = '{number}']") for number in range(50))]

    first, many = lines(records)

    assert (first.count, many.count, many.rows) == (1, 50, 50)
    assert many.seconds == pytest.approx(0.05)
    assert many.record.text.endswith("[$1 = '0']")


@pytest.mark.parametrize(("one", "other", "same"), [
    ("SELECT 1", "SELECT  22", True), ("SELECT 'a'", "SELECT 'it''s'", True), ("SELECT a", "SELECT b", False),
    ("GET hold:1:2", "GET hold:3:44", True), ("INSERT $1  [$1 = 'x']", "INSERT $1  [$1 = 'y', $2 = 'z']", True),
])
def test_shapes(one: str, other: str, same: bool) -> None:
    assert (shape(sql(0, one)) == shape(sql(0, other))) is same


def test_what_a_service_calls_the_same_is_the_same() -> None:
    """Its number counts, not the text; a number means nothing beside another service's."""
    assert shape(sql(0, "SELECT a", shape=1)) == shape(sql(0, "SELECT b", shape=1))
    assert shape(sql(0, "SELECT a", shape=1)) != shape(sql(0, "SELECT a", shape=2))
    assert shape(sql(0, shape=1)) != shape(Record("redis", 0, "SELECT 1", "monitor", shape=1))


def test_a_refused_statement_is_not_one_of_the_accepted() -> None:
    assert shape(sql(0)) != shape(sql(0, refused=True))


def test_a_block_of_many_shapes_puts_equal_ones_together() -> None:
    """Fifty sales: five statements each, five lines."""
    records = [sql(1.0, f"STEP {'ABCDE'[number % 5]} {number}") for number in range(250)]

    assert [(line.record.text[:6], line.count) for line in lines(records)] == [
        (f"STEP {letter}", 50) for letter in "ABCDE"]


def test_a_long_time_line_is_cut_in_the_middle() -> None:
    found = blocks(timeline(requests=tuple(request(float(number)) for number in range(500))))

    assert len(found) == MOST_BLOCKS + 1
    assert found[MOST_BLOCKS // 2].text == f"{500 - MOST_BLOCKS} more requests, left out here"


FULL = timeline(
    requests=(request(10.0, f"/events/{BAD}", body=BAD), request(12.0, status=None),
              *(request(20.0, f"/events/{number}", status=200 + 209 * (number % 2)) for number in range(4))),
    records=(sql(9.0, "-- tables\nCREATE TABLE t"), sql(10.05, f"SELECT '{BAD}' " + "long " * 100, note=BAD),
             sql(12.05, "INSERT", refused=True, note="ERROR 23505: no")),
    marks=(Mark(11.0, "redis is stopped"),))


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("one", [FULL, timeline(), timeline(failed=(), requests=(request(1.0),))])
def test_the_text_fits_and_nothing_in_it_steers_the_terminal(one: Timeline, width: int) -> None:
    text = trace_terminal.render(one, width=width)

    assert max(len(line) for line in text.splitlines()) <= max(width, 40), text
    assert "\x1b" not in text
    assert text.isprintable() or all(line.isprintable() for line in text.splitlines())


def test_the_text_says_what_happened() -> None:
    text = trace_terminal.render(FULL, width=100)

    for words in ("n-plus-one", "your server starts", "CREATE TABLE t", "redis is stopped", "no answer", "Check A.",
                  "ERROR 23505: no", "4 at once: 4 x GET /events/N", "200 x 2, 409 x 2", "1 statement in postgres", "log: its own log", "1 row",
                  "1.0 ms", "redis: up to a moment", "labs trace m --all"):
        assert words in text, (words, text)


def test_the_page_has_no_element_of_the_servers() -> None:
    page = trace_html.render(FULL)
    found = Elements(page)

    assert "script" not in found.tags
    assert found.attributes <= {"lang", "charset", "name", "content", "http-equiv", "class"}
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page


def test_a_time_line_survives_the_trip_through_json() -> None:
    assert from_data(json.loads(json.dumps(to_data(FULL)))) == FULL


def test_a_time_line_that_was_saved_before_services_had_words_is_shown() -> None:
    """Without numbers of shapes and without words: as records, told apart by what is quoted in them."""
    data = json.loads(json.dumps(to_data(FULL)))
    del data["words"]
    for record in data["records"]:
        del record["shape"]
    old = from_data(data)

    assert old.words == {}
    assert "1 record in postgres" in trace_terminal.render(old)
    assert "What belongs to which request" in trace_html.render(old)


@pytest.mark.parametrize("data", [None, {}, {**to_data(FULL), "words": 3}, {**to_data(FULL), "words": {"a": {"entry": 3}}}, {"timeline": 2}, {"timeline": 1}, {**to_data(FULL), "requests": [{"x": 1}]},
                                  {**to_data(FULL), "verdict": "great"}])
def test_anything_else_is_no_time_line(data: object) -> None:
    with pytest.raises(ValueError, match=r"time line|Verdict"):
        from_data(data)
