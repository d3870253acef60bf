"""Services that nobody needs sleep: their links are open, and the first connection wakes them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.wait import until

from orchestrator.errors import EnvironmentFault
from orchestrator.faults.proxy import Proxy
from orchestrator.judge.space import Space
from orchestrator.machine import memory
from orchestrator.model import Endpoint, Offer, Owner, ServiceNeed, Verdict
from orchestrator.report.terminal import milestone_line

OWNER = Owner("check-sleep", "1", "i", "lease", 1, 1.0, "judge")
WRONG = '@check\ndef test_wrong(): raise Failure("failed", "not-stored", "the words")\n'


def server(world: Any, at_start: str = "", on_health: str = "") -> None:
    """The world's server also uses the service ``cache``: at its start, or each time it is asked."""
    program = world.folder / "workspace" / "server.py"
    text = program.read_text()
    text = text.replace('print("listening"', f'{at_start}\nprint("listening"')
    text = text.replace("    def do_GET(self):\n", f"    def do_GET(self):\n        {on_health or 'pass'}\n")
    helper = ('def cache(line, patience=20):\n'
              '    with socket.create_connection(("127.0.0.1", int(os.environ["CACHE_PORT"])), patience) as c:\n'
              '        c.sendall(line.encode() + b"\\n")\n'
              '        answer = c.makefile().readline()\n'
              '    if not answer: raise SystemExit("no cache")\n'
              '    return answer\n')
    program.write_text(text.replace("def ask(line):", f"{helper}def ask(line):"))


@pytest.fixture
def two(world: Any) -> Any:
    """A lab with a second service, ``cache``, that no milestone is about."""
    recipe = world.recipes["notes"]
    world.recipes["cache"] = type(recipe)("cache")
    world.services.append(ServiceNeed("cache", ">=1,<2"))
    return world


def made(world: Any) -> list[str]:
    return [spec.service for spec in world.engine.made]


def test_only_what_the_milestones_need_is_started(two: Any) -> None:
    """The server never asks for the other service, so it is not there, and the report does not name it."""
    two.milestone("notes/one", two.RIGHT)

    report = two.judge()

    assert [result.verdict for result in report.milestones] == [Verdict.PASS]
    assert made(two) == ["notes"]
    assert set(report.products) == {"notes"}


def test_the_services_of_all_milestones_that_are_judged_are_started(two: Any) -> None:
    """One of the two needs the second service."""
    two.milestone("notes/one", two.RIGHT)
    two.milestone("notes/two", two.RIGHT, services=["notes", "cache"])

    report = two.judge()

    assert [result.verdict for result in report.milestones] == [Verdict.PASS, Verdict.PASS]
    assert sorted(made(two)) == ["cache", "notes"]


def test_a_server_that_connects_to_everything_at_its_start_is_right(two: Any) -> None:
    """The connection waits until the service is there: empty, recorded, and like any other from then on."""
    server(two, at_start='cache("put seen")')
    two.milestone("notes/one", two.RIGHT)
    two.milestone("notes/two", two.RIGHT)

    report = two.judge()

    assert [(one.verdict, one.attempts) for one in report.milestones] == [(Verdict.PASS, 1), (Verdict.PASS, 1)]
    assert sorted(made(two)) == ["cache", "notes"]
    assert set(report.products) == {"notes", "cache"}
    first, second = two.heard.timelines
    assert {record.service for record in first.records} == {"notes", "cache"}
    assert {record.service for record in second.records} == {"notes", "cache"}


def test_an_impatient_server_is_judged_again_with_the_service_there(two: Any) -> None:
    """It gives up before the service is awake and cannot start: that is not its fault, and the second start is well."""
    slow(two)
    server(two, at_start='cache("put seen", patience=0.05)')
    two.milestone("notes/one", two.RIGHT)

    result = two.one()

    assert (result.verdict, result.attempts) == (Verdict.PASS, 2), result


def test_a_failure_while_a_service_woke_is_not_shown_before_it_is_final(two: Any) -> None:
    """The first attempt fails since the service was not there yet; nobody hears of that."""
    slow(two)
    server(two, on_health='self.path == "/words" and cache("ping", patience=0.05)')
    two.milestone("notes/one", two.RIGHT)

    result = two.one()

    assert (result.verdict, result.attempts) == (Verdict.PASS, 2), result
    assert [check.verdict for check in two.heard.checks] == [Verdict.PASS]


def test_a_wrong_server_stays_wrong(two: Any) -> None:
    """Judged twice, because something woke, and the result says so; found wrong twice."""
    server(two, at_start='cache("put seen")')
    two.milestone("notes/one", WRONG)

    result = two.one()

    assert (result.verdict, result.reason, result.attempts) == (Verdict.FAIL, "not-stored", 2)
    assert milestone_line(result).endswith("(tried 2 times: cache had to be started first)")


def test_a_server_that_needs_what_is_not_here_is_not_judged(two: Any) -> None:
    """It cannot start without the service: unjudged, which service, what would help; never its fault."""
    server(two, at_start='cache("put seen")')
    two.engine.unavailable["cache"] = Offer("cache", available=False, missing="no image of Cache is here",
                                            remedy="labs pull {lab}", reason="image-missing")
    two.milestone("notes/one", two.RIGHT)

    result = two.one()

    assert (result.verdict, result.reason) == (Verdict.UNJUDGED, "no-service")
    assert "Cache" in result.message
    assert "labs pull shop" in result.message
    assert made(two) == ["notes"]


def test_a_server_that_does_without_what_is_not_here_is_judged(two: Any) -> None:
    """It asks, is refused, and is right all the same."""
    server(two, at_start='try: cache("put seen")\nexcept (OSError, SystemExit): pass')
    two.engine.unavailable["cache"] = Offer("cache", available=False, missing="not here", reason="image-missing")
    two.milestone("notes/one", two.RIGHT)

    assert two.one().verdict is Verdict.PASS


def test_a_failed_check_of_a_server_that_asked_in_vain_blames_nobody(two: Any) -> None:
    """Whether it would have passed with the service nobody can say; the checks say so, too."""
    server(two, at_start='try: cache("put seen")\nexcept (OSError, SystemExit): pass')
    two.engine.unavailable["cache"] = Offer("cache", available=False, missing="not here", reason="image-missing")
    two.milestone("notes/one", WRONG)

    result = two.one()

    assert (result.verdict, result.reason) == (Verdict.UNJUDGED, "no-service")
    assert [(check.verdict, check.reason) for check in result.checks] == [(Verdict.UNJUDGED, "no-service")]


@pytest.mark.parametrize("at_start", ['raise SystemExit("no crypto")', 'print("no crypto", flush=True)'])
def test_a_server_that_asks_for_a_part_that_only_another_engine_has_is_not_judged(
        two: Any, monkeypatch: pytest.MonkeyPatch, at_start: str) -> None:
    """It ends at its start, or goes on and is wrong: neither is its fault, and both are told what helps."""
    monkeypatch.setattr(type(two.recipes["notes"]), "lacking",
                        lambda self, log: ("no cryptography here", "use Docker") if "no crypto" in log else None)
    server(two, at_start=at_start)
    two.milestone("notes/one", WRONG)

    result = two.one()

    assert (result.verdict, result.reason) == (Verdict.UNJUDGED, "no-extension")
    assert (result.message, result.advice) == ("no cryptography here", "use Docker")


def test_a_wrong_server_that_did_not_ask_is_wrong(two: Any) -> None:
    """That a service cannot be had is no excuse for who never wanted it."""
    two.engine.unavailable["cache"] = Offer("cache", available=False, missing="not here", reason="image-missing")
    two.milestone("notes/one", WRONG)

    assert two.one().verdict is Verdict.FAIL


def test_a_service_that_does_not_start_when_it_is_woken_is_our_error(two: Any) -> None:
    """Which service, and the engine's words."""
    server(two, at_start='cache("put seen")')
    start = two.engine.start

    def refusing(name: str) -> None:
        if name.endswith("cache"):
            raise EnvironmentFault("it is broken", code="service-died", hint="labs doctor")
        start(name)

    two.engine.start = refusing
    two.milestone("notes/one", two.RIGHT)

    result = two.one()

    assert (result.verdict, result.reason, result.advice) == (Verdict.ERROR, "service-died", "labs doctor")
    assert "Cache, which could not be started: it is broken" in result.message


def test_a_check_may_stop_a_service_that_sleeps(two: Any) -> None:
    """It is woken first, so that there is something to stop; its evidence can be asked for, too."""
    two.milestone("notes/one", """
    @check
    def test_stopped():
        fault = call("fault.begin", kind="stop", service="cache")["fault"]
        call("fault.heal", fault=fault)
        admin = call("service.admin", service="cache")
        with socket.create_connection(("127.0.0.1", int(admin["port"])), 2) as c:
            c.sendall(b"all\\n")
            c.makefile().readline()
""")

    assert two.one().verdict is Verdict.PASS
    assert sorted(made(two)) == ["cache", "notes"]


# --- the space by itself ---------------------------------------------------------------------------------------


@pytest.fixture
def space(world: Any) -> Iterator[Space]:
    """Two services, of which one is needed."""
    recipe = world.recipes["notes"]
    with Proxy() as proxy:
        made = Space(world.engine, [recipe, type(recipe)("cache")], lab="shop", owner=OWNER, proxy=proxy)
        made.begin(["notes"])
        made.opened()
        made.fresh()
        yield made
        made.close()


def test_several_at_once_wake_it_once(space: Space, world: Any) -> None:
    """Eight connections wait; one instance is made; all are answered."""
    slow(world)
    link = space._seats["cache"].link
    assert link is not None
    answers: list[str] = []

    def connect() -> None:
        with socket.create_connection((link.host, link.port), 10) as connection:
            connection.sendall(b"all\n")
            answers.append(connection.makefile().readline())

    threads = [threading.Thread(target=connect) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == ["\n"] * 8
    assert made(world) == ["notes", "cache"]
    assert space.woken == {"cache"}


def test_nothing_sleeps_in_what_a_service_is_told(space: Space, world: Any) -> None:
    """Links are open before anything starts: each spec carries its link's port."""
    environment = space.environment()
    assert set(environment) == {"NOTES_PORT", "CACHE_PORT"}

    space.wake("cache")

    for spec in world.engine.made:
        assert spec.links == {"": int(environment[f"{spec.service.upper()}_PORT"])}
        assert spec.advertised() == spec.links[""]
    assert space.environment() == environment


def test_a_service_that_moves_keeps_its_link(space: Space, world: Any) -> None:
    """Made anew on another port, it is reached where it was."""
    before = space.environment()
    seat = space.seat("notes")
    assert seat is not None
    seat.hurt = True

    space.fresh()

    assert len({spec.port for spec in world.engine.made}) == 2
    assert space.environment() == before
    assert {tuple(spec.links.items()) for spec in world.engine.made} == {(("", int(before["NOTES_PORT"])),)}


def test_closing_while_a_service_wakes_leaves_nothing(space: Space, world: Any) -> None:
    """Somebody has just knocked."""
    slow(world)
    link = space._seats["cache"].link
    assert link is not None
    with socket.create_connection((link.host, link.port), 10):
        until(lambda: made(world) == ["notes", "cache"])
        space.close()

    assert world.engine.entries == {}


def test_what_wakes_is_not_woken_news_for_the_next_attempt(space: Space) -> None:
    """``woken`` is about one attempt."""
    link = space._seats["cache"].link
    assert link is not None
    with socket.create_connection((link.host, link.port), 10) as connection, contextlib.suppress(OSError):
        connection.sendall(b"put dirt\n")
        connection.makefile().readline()
    assert space.woken == {"cache"}

    space.fresh()

    assert space.woken == frozenset()
    with socket.create_connection((link.host, link.port), 10) as connection:
        connection.sendall(b"all\n")
        assert connection.makefile().readline() == "\n"


def slow(world: Any) -> None:
    """A service takes a moment to start; there is nothing to wait for."""
    start = world.engine.start

    def late(name: str) -> None:
        if name.endswith("cache"):
            time.sleep(0.4)
        start(name)

    world.engine.start = late


# --- memory ------------------------------------------------------------------------------------------------------


def test_a_check_that_does_not_fit_starts_nothing(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said at once, for all services that it needs."""
    monkeypatch.setattr(memory, "free_memory", lambda address="": 1500)
    two.milestone("notes/one", two.RIGHT, services=["notes", "cache"])

    with pytest.raises(EnvironmentFault) as raised:
        two.judge()

    assert raised.value.code == "memory-short"
    assert str(raised.value.hint).startswith("labs stop")
    assert two.engine.made == []


def test_a_sleeping_service_for_which_there_is_no_room_is_nobodys_fault(
    two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The needed one fits; the server asks for the other: unjudged, and what would help."""
    server(two, at_start='cache("put seen")')
    monkeypatch.setattr(memory, "free_memory", lambda address="": 500 if two.engine.made else 1500)
    two.milestone("notes/one", two.RIGHT)

    result = two.one()

    assert (result.verdict, result.reason) == (Verdict.UNJUDGED, "memory-short")
    assert "Cache needs about" in result.message
    assert result.advice.startswith("labs stop")
    assert made(two) == ["notes"]


def test_what_is_being_started_is_not_counted_again(two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its memory is less free with every moment; it was allowed, and goes on."""
    monkeypatch.setattr(memory, "free_memory", lambda address="": 500 if two.engine.made else 1500)
    start = two.engine.start

    def late(name: str) -> None:
        time.sleep(0.3)  # until after the build
        start(name)

    two.engine.start = late
    two.milestone("notes/one", two.RIGHT)

    assert two.one().verdict is Verdict.PASS


def test_a_replica_reaches_every_node_by_its_name(world: Any) -> None:
    """Through links of its own, the first one by both of its names."""
    recipe = type(world.recipes["notes"])("ring")
    recipe.nodes, recipe.more_ports = 2, {"page": 7008}
    seen: list[Endpoint] = []
    recipe.environment = lambda endpoint, credentials: seen.append(endpoint) or {}
    with Proxy() as proxy:
        space = Space(world.engine, [recipe], lab="shop", owner=OWNER, proxy=proxy)
        try:
            space.begin()
            space.opened()
            space.environment()
            space.environment("replica-1")
        finally:
            space.close()

    main, replica = seen
    assert set(main.others) == set(replica.others) == {"page", "node-1", "node-2"}
    assert main.others["node-1"] == main.port
    assert replica.others["node-1"] == replica.port != main.port
    first, second = world.engine.made
    assert first.links == {"": main.port, "page": main.others["page"], "node-2": main.others["node-2"]}
    assert second.links == {"": main.others["node-2"]}
