"""Whole runs in small: a real server, real sockets, services in memory, children that are scripts."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.judge import supervisor
from orchestrator.judge.request import RunRequest
from orchestrator.judge.vigil import LOOK_EVERY
from orchestrator.model import Offer, Owner, Verdict, Workspace
from orchestrator.workspace.select import PlannedMilestone

PRESSES: list[threading.Timer] = []
"""Presses of Ctrl-C that may still be under way."""

WRONG = """
    @check
    def test_words():
        raise Failure("failed", "not-stored", "the words", expected="hello", seen="")
"""


def test_a_right_server_passes(world: Any) -> None:
    """All of it once: space, target, child, evidence, report."""
    world.milestone("notes/one", world.RIGHT)

    report = world.judge()

    (result,) = report.milestones
    assert result.verdict is Verdict.PASS, result
    assert result.checks[0].evidence == ("Notes had the word that the server gave",)
    assert result.attempts == 1
    assert {"space", "start", "checks", "end"} <= set(result.phases)
    assert str(report.products["notes"]) == "Notes 1.4 (genuine)"
    assert (report.exit_code, report.seed, report.isolation) == (0, 7, "local, not isolated")
    assert [check.verdict for check in world.heard.checks] == [Verdict.PASS]
    assert world.heard.milestones == [result]


def test_a_wrong_server_fails_with_its_words_and_logs(world: Any) -> None:
    """A failure brings its reason, what was expected and seen, the server's and the services' last lines."""
    world.milestone("notes/one", WRONG)

    result = world.one()

    assert (result.verdict, result.reason, result.attempts) == (Verdict.FAIL, "not-stored", 1)
    assert (result.checks[0].expected, result.checks[0].seen) == ("hello", "")
    assert "listening" in result.server_log
    assert result.service_logs == {"notes": "log of labs-check-unit-notes"}


def test_a_server_that_is_wrong_as_a_services_client_is_told_so(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service knows its clients' mistakes, by what the server said; one that passes is told nothing."""
    monkeypatch.setattr(world.recipes["notes"], "client_advice",
                        lambda _endpoint, _credentials, said: "log in first" if "listening" in said else None)
    world.milestone("notes/one", world.RIGHT)
    world.milestone("notes/two", WRONG)

    assert [one.advice for one in world.judge().milestones] == ["", "log in first"]


def test_the_logs_of_a_failure_are_of_the_moment_of_the_check_that_failed_first(world: Any) -> None:
    """Later checks write a lot, and a server that is started again has an output of its own."""
    world.engine.logs = lambda name, **_: f"{len(world.engine.entries[name].words)} words"
    world.milestone("notes/one", """
    @check
    def test_words():
        note("put first")
        get("/words")
        call("check.failed")
        raise Failure("failed", "not-stored", "the words", expected="hello", seen="")
    @check
    def test_later():
        note("put second")
        call("server.restart")
        get("/other")
        call("check.failed")
        raise Failure("failed", "not-stored", "the words", expected="hello", seen="")
""")
    source = world.folder / "workspace" / "server.py"
    source.write_text(source.read_text().replace("def do_GET(self):", "def do_GET(self):\n        print(self.path, flush=True)"))

    result = world.one()

    assert result.verdict is Verdict.FAIL
    assert result.server_log.splitlines()[-1] == "/words"
    assert result.service_logs == {"notes": "1 words"}
    assert result.logs_of_failure


def test_checks_of_every_file_of_a_milestone_must_run(world: Any) -> None:
    """A check that only the second file defines is expected, too: it is missed where the child does not run it."""
    world.milestone("notes/words", world.RIGHT)
    more = world.folder / "checks" / "more.py"
    more.write_text("def test_more(): pass\n")
    world.milestones = [dataclasses.replace(one, checks=(*one.checks, more)) for one in world.milestones]

    result = world.one()

    assert [(check.id, check.verdict) for check in result.checks] == [
        ("notes/words/test_words", Verdict.PASS), ("notes/words/test_more", Verdict.ERROR)]


def test_every_milestone_has_a_fresh_space_and_a_new_start_of_the_server(world: Any) -> None:
    """What one milestone leaves is gone for the next; the instances stay, process and port of the server do not."""
    body = """
    @check
    def test_empty():
        if note("all"): raise Failure("failed", "dirty", note("all"))
        note("put dirt")
        return get("/pid") + " " + url
"""
    world.milestone("notes/one", body)
    world.milestone("notes/two", body)

    one, two = world.judge().milestones

    assert (one.verdict, two.verdict) == (Verdict.PASS, Verdict.PASS), (one, two)
    (pid_one, url_one), (pid_two, url_two) = (result.checks[0].evidence[0].split() for result in (one, two))
    assert pid_one != pid_two
    assert url_one != url_two
    assert len(world.engine.made) == 1


def test_a_need_that_failed_blocks_and_nothing_else_does(world: Any) -> None:
    """Only what needs a failed milestone is blocked; its advice names the need."""
    world.milestone("notes/one", WRONG)
    world.milestone("notes/two", world.RIGHT, needs=["notes/one"])
    world.milestone("notes/three", world.RIGHT, needs=["notes/two"])
    world.milestone("notes/free", world.RIGHT)

    verdicts = {result.id: result.verdict for result in world.judge().milestones}

    assert verdicts == {"notes/one": Verdict.FAIL, "notes/two": Verdict.BLOCKED, "notes/three": Verdict.BLOCKED,
                        "notes/free": Verdict.PASS}


def test_later_milestones_are_listed_and_not_run(world: Any) -> None:
    """``later`` is a line, no run; a run of nothing starts no service."""
    world.milestone("notes/one", WRONG, role="later")

    report = world.judge()

    assert [result.role for result in report.milestones] == ["later"]
    assert report.exit_code == 5
    assert world.engine.made == []


def test_a_check_that_is_missing_is_an_error_and_tried_twice(world: Any) -> None:
    """The file defines one more check than the child ran: error, and the second attempt is shown."""
    world.milestone("notes/one", world.RIGHT, defined="def test_words(): pass\ndef test_more(): pass\n")

    result = world.one()

    assert (result.verdict, result.attempts) == (Verdict.ERROR, 2)


def test_a_failure_is_never_tried_again(world: Any, tmp_path: Path) -> None:
    """Only an error is retried: a server that is wrong half of the time is wrong."""
    world.milestone("notes/one", f"""
    @check
    def test_flips():
        if not os.path.exists({str(tmp_path / "seen")!r}):
            open({str(tmp_path / "seen")!r}, "w").close()
            raise Failure("failed", "flips", "it")
""")

    assert (world.one().verdict, world.one().verdict) == (Verdict.FAIL, Verdict.PASS)


def test_an_error_is_tried_again_on_a_fresh_space(world: Any, tmp_path: Path) -> None:
    """A child that crashes once: the second attempt decides, and the report says that there were two."""
    world.milestone("notes/one", f"""
    @check
    def test_crashes_once():
        if note("all"): raise Failure("failed", "dirty", "not fresh")
        note("put dirt")
        if not os.path.exists({str(tmp_path / "seen")!r}):
            open({str(tmp_path / "seen")!r}, "w").close()
            os.kill(os.getpid(), signal.SIGSEGV)
""")

    result = world.one()

    assert (result.verdict, result.attempts) == (Verdict.PASS, 2)


def test_a_crashing_child_is_an_error_with_its_last_words(world: Any) -> None:
    """A child that ends in the middle, by whatever, is never a pass and never the learner's fault."""
    world.milestone("notes/one", """
    @check
    def test_leaves():
        print("pytest's last words", flush=True)
        os._exit(0)
""")

    result = world.one()

    assert (result.verdict, result.attempts) == (Verdict.ERROR, 2)
    assert "pytest's last words" in result.message


def test_a_server_that_hangs_is_a_timeout(world: Any) -> None:
    """The milestone's time is over while the server owes an answer; it is told which."""
    world.milestone("notes/one", """
    @check
    def test_hangs(): get("/hang")
""", budget=1.0)

    result = world.one()

    assert (result.verdict, result.reason, result.attempts) == (Verdict.TIMEOUT, "deadline", 1)
    assert "GET /hang" in result.checks[0].what


def test_a_check_that_hangs_is_ours(world: Any) -> None:
    """The milestone's time is over and the server owes nothing: error."""
    world.milestone("notes/one", """
    @check
    def test_sleeps(): time.sleep(60)
""", budget=0.5)

    assert world.one().verdict is Verdict.ERROR


def test_a_server_that_dies_says_how(world: Any) -> None:
    """The server ends by itself in the middle: a failure, and the message says with what status."""
    world.milestone("notes/one", """
    @check
    def test_dies(): get("/die")
""")

    result = world.one()

    assert (result.verdict, result.reason) == (Verdict.FAIL, "no-answer")
    assert "exit status 9" in result.message


def test_a_server_that_cannot_start_is_invalid(world: Any) -> None:
    """It ended before it answered /health: invalid, with its last words; not tried again."""
    world.run_argv = (*world.run_argv, "exits")
    world.milestone("notes/one", world.RIGHT)

    result = world.one()

    assert (result.verdict, result.reason, result.attempts) == (Verdict.INVALID, "exited", 1)
    assert "I cannot start" in result.server_log


def test_a_build_that_fails_makes_every_milestone_invalid(world: Any) -> None:
    """Built once; its failure is told for every milestone that would have run, with the tool's last lines."""
    world.build = (("sh", "-c", "echo undefined: shop; exit 2"),)
    world.milestone("notes/one", world.RIGHT)
    world.milestone("notes/two", world.RIGHT, needs=["notes/one"])
    world.milestone("notes/later", world.RIGHT, role="later")

    report = world.judge()

    told = [(result.verdict, result.reason) for result in report.milestones[:2]]
    assert told == [(Verdict.INVALID, "build-failed")] * 2
    assert "undefined: shop" in report.milestones[0].server_log
    assert report.milestones[2].role == "later"
    assert report.exit_code == 1


def kill_in_the_middle(world: Any, action: str) -> str:
    """A check body that makes the engine do something behind our back, then blames the server."""
    flag = world.folder / "flag"
    done = world.folder / "done"
    name = "labs-check-unit-notes"

    def watch() -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if flag.exists():
                flag.unlink()
                if action == "pause":
                    world.engine.pause(name)
                    time.sleep(2 * LOOK_EVERY)
                    world.engine.unpause(name)
                else:
                    world.engine.kill(name)
                if action == "restart":
                    world.engine.start(name)
                if action == "oom":
                    world.engine.entries[name].oom = True
                done.touch()
            time.sleep(0.005)

    threading.Thread(target=watch, daemon=True).start()
    return f"""
    @check
    def test_blames():
        open({str(flag)!r}, "w").close()
        while not os.path.exists({str(done)!r}): time.sleep(0.005)
        os.unlink({str(done)!r})
        raise Failure("failed", "lost-word", "the word")
"""


@pytest.mark.parametrize(
    ("action", "reason"), [("kill", "service-died"), ("restart", "service-restarted"), ("oom", "service-oom"),
                         ("pause", "service-paused")]
)
def test_a_failure_on_a_service_that_was_not_itself_is_an_error(world: Any, action: str, reason: str) -> None:
    """Killed, restarted, out of memory or paused for a while behind our back: no failure is published, but why."""
    world.milestone("notes/one", kill_in_the_middle(world, action))

    result = world.one()

    assert (result.verdict, result.reason, result.attempts) == (Verdict.ERROR, reason, 2)
    assert "Notes" in result.message
    assert result.checks[0].verdict is Verdict.ERROR
    assert "notes" in result.service_logs
    assert len(world.engine.made) == 2, "the second attempt had a service of its own"


def test_a_server_that_died_with_its_keeper_is_not_to_blame(world: Any) -> None:
    """Somebody killed the process of ours that watches over it."""
    world.milestone("notes/one", """
    @check
    def test_blames():
        for process in os.listdir("/proc"):
            try: words = open(f"/proc/{process}/cmdline", "rb").read().split(b"\\0")
            except OSError: continue
            if any(word.endswith(b"keeper.py") for word in words) and WORLD in b" ".join(words):
                os.kill(int(process), 9)
        try: get("/words")
        except OSError: pass
        raise Failure("wrong", "no-answer", "GET /words")
""".replace("WORLD", repr(str(world.folder).encode())))

    result = world.one()

    assert (result.verdict, result.reason) == (Verdict.ERROR, "keeper-lost")


def test_faults_of_a_check_are_not_held_against_the_service(world: Any) -> None:
    """A check kills and stops the service: the restart is ours, and its failure is the server's."""
    world.milestone("notes/one", """
    @check
    def test_fails_in_a_fault():
        for kind in ("stop", "kill", "pause"):
            fault = call("fault.begin", kind=kind, service="notes")["fault"]
            if kind == "pause": time.sleep(0.6)
            call("fault.heal", fault=fault)
        note("ping")
        raise Failure("failed", "no-recovery", "the server")
""")
    world.milestone("notes/two", world.RIGHT)

    one, two = world.judge().milestones

    assert (one.verdict, one.reason) == (Verdict.FAIL, "no-recovery")
    assert two.verdict is Verdict.PASS
    assert len(world.engine.made) == 2, "a killed service is recreated for the next milestone"


def test_faults_that_are_not_healed_are_healed_at_the_end(world: Any) -> None:
    """A check that crashes inside faults leaves whole links and running services."""
    world.milestone("notes/one", """
    @check
    def test_leaves_faults():
        for kind in ("down", "hold", "stop"):
            call("fault.begin", kind=kind, service="notes")
        raise Failure("failed", "x", "y")
""")
    world.milestone("notes/two", world.RIGHT)

    one, two = world.judge().milestones

    assert (one.verdict, one.reason) == (Verdict.FAIL, "x"), one
    assert two.verdict is Verdict.PASS, two


def test_a_link_fault_reaches_the_server_and_not_the_evidence(world: Any) -> None:
    """While the link is down the server cannot reach the service; the checks can."""
    world.milestone("notes/one", """
    @check
    def test_down():
        fault = call("fault.begin", kind="down", service="notes")["fault"]
        note("ping")
        try: get("/words")
        except Failure: pass
        else: raise Failure("failed", "still-there", "the link")
        call("fault.heal", fault=fault)
        get("/words")
        seen = call("fault.connections", service="notes")
        return str(sorted(seen))
""")

    result = world.one()

    assert result.verdict is Verdict.PASS, result
    assert result.checks[0].evidence == ("['open', 'opened']",)


def test_the_server_keeps_its_address_over_restart_and_kill(world: Any) -> None:
    """Restart and kill: another process, the same URL; stop tells the exit status; a replica has its own URL."""
    world.milestone("notes/one", """
    @check
    def test_lives():
        pids = [get("/pid")]
        call("server.restart"); pids.append(get("/pid"))
        call("server.kill"); pids.append(get("/pid"))
        assert len(set(pids)) == 3, pids
        assert isinstance(call("server.stop", grace=2)["status"], int)
        call("server.start"); get("/pid")
        replica = call("server.replica")
        assert replica["url"] != url
        with urllib.request.urlopen(replica["url"] + "/pid") as answer: assert answer.read().decode() not in pids
        call("replica.stop", replica=replica["replica"])
        assert "listening" in call("server.log", lines=5)
""")

    result = world.one()

    assert result.verdict is Verdict.PASS, result


def test_a_replica_may_have_other_values_of_the_labs_variables(world: Any) -> None:
    """A variable of ``lab.toml`` has the check's value in that replica alone; one that is not there is our bug."""
    world.env = {"SIZE": "8", "COLOUR": "red"}
    source = (world.folder / "workspace" / "server.py").read_text()
    tells = "import os\nopen('given', 'a').write(f'{os.environ[\"SIZE\"]} {os.environ[\"COLOUR\"]}\\n')\n"
    (world.folder / "workspace" / "server.py").write_text(tells + source)
    world.milestone("notes/one", """
    @check
    def test_small():
        call("server.replica", env={"SIZE": "3"})
        call("server.replica")
    @check
    def test_of_no_contract():
        call("server.replica", env={"SIZES": "3"})
""")

    result = world.one()

    assert (world.folder / "workspace" / "given").read_text().splitlines()[:3] == ["8 red", "3 red", "8 red"]
    assert [check.verdict for check in result.checks] == [Verdict.PASS, Verdict.ERROR]
    assert "SIZES, which lab.toml does not declare" in result.checks[1].what


def test_a_server_that_does_not_come_back_is_wrong(world: Any) -> None:
    """The server starts once and not again: a failure with a reason of its own, not an error."""
    source = (world.folder / "workspace" / "server.py").read_text()
    once = "import os\nif os.path.exists('once'): raise SystemExit('only once')\nopen('once', 'w').close()\n"
    (world.folder / "workspace" / "server.py").write_text(once + source)
    world.milestone("notes/one", """
    @check
    def test_restart(): call("server.restart")
""")

    result = world.one()

    assert (result.verdict, result.reason) == (Verdict.FAIL, "restart-exited")


def test_a_service_that_cannot_be_had_is_unjudged(world: Any) -> None:
    """The engine says what is missing and what would help; milestones that do without are judged."""
    from orchestrator.model import ServiceNeed

    world.services.append(ServiceNeed("cache", ">=1"))
    world.recipes["cache"] = type(world.recipes["notes"])("cache")
    world.engine.unavailable["cache"] = Offer("cache", available=False, missing="no cache here", remedy="labs pull")
    world.milestone("notes/one", world.RIGHT)
    world.milestone("cache/one", world.RIGHT, services=["notes", "cache"])

    one, two = world.judge().milestones

    assert one.verdict is Verdict.PASS
    assert (two.verdict, two.message) == (Verdict.UNJUDGED, "no cache here; labs pull")


def test_a_version_outside_the_labs_range_is_unjudged(world: Any) -> None:
    """What runs is not what the lab is made for: unjudged, with both named."""
    world.recipes["notes"].version = "2.0"
    world.milestone("notes/one", world.RIGHT)

    result = world.one()

    assert result.verdict is Verdict.UNJUDGED
    assert "2.0" in result.message
    assert ">=1,<2" in result.message


def test_a_port_that_somebody_took_is_another_port(world: Any) -> None:
    """The engine says that the port is taken: the next one, without a word."""
    world.engine.refuse_next = ["port-busy", "port-busy"]
    world.milestone("notes/one", world.RIGHT)

    assert world.one().verdict is Verdict.PASS
    assert len({spec.port for spec in world.engine.made}) == 3


def test_a_service_that_does_not_start_is_an_error_for_all(world: Any) -> None:
    """Not started, tried again, given up: an error each, without trying again for every milestone."""
    world.engine.refuse_next = ["engine-failed"] * 20
    world.milestone("notes/one", world.RIGHT)
    world.milestone("notes/two", world.RIGHT)

    results = world.judge().milestones

    assert [(result.verdict, result.reason) for result in results] == [(Verdict.ERROR, "engine-failed")] * 2
    assert len(world.engine.refuse_next) == 18


def test_a_service_that_cannot_be_emptied_is_recreated(world: Any) -> None:
    """``fresh`` fails once: a new instance, and the run goes on."""
    world.recipes["notes"].broken_fresh = 1
    world.milestone("notes/one", world.RIGHT)

    assert world.one().verdict is Verdict.PASS
    assert len(world.engine.made) == 2


def processes_in(folder: Path) -> list[str]:
    """Processes that work in a folder, or below."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(folder):
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.fixture(autouse=True)
def no_press_is_left(as_in_the_command: None) -> Iterator[None]:
    """When a test ends, so do its presses of Ctrl-C."""
    yield
    while PRESSES:
        press = PRESSES.pop()
        press.cancel()  # one that was to start when the first one struck would strike in another test
        if press.is_alive():
            press.join()


CAUGHT_UNAWARES = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
"""A press may strike between the opening of a file and the moment at which Python knows its name. It is closed when it is
forgotten, which Python says as if nobody had meant to close it."""


def interrupt_after(seconds: float) -> None:
    """What pressing Ctrl-C twice does, a little later: a tenth of a second on, the first is being cleaned up."""
    for moment in (seconds, seconds + 0.1):
        press = threading.Timer(moment, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
        PRESSES.append(press)  # before: the first press may strike while the second one is being started
        press.start()


@CAUGHT_UNAWARES
def test_ctrl_c_ends_everything_and_reports_what_is_known(world: Any) -> None:
    """Interrupted in the second milestone: the first one's verdict stays, all is gone in seconds."""
    world.milestone("notes/one", world.RIGHT)
    world.milestone("notes/two", "@check\ndef test_sleeps(): time.sleep(60)\n")
    world.milestone("notes/three", world.RIGHT)
    began: list[float] = []

    def interrupt(milestone: str, phase: str) -> None:
        if (milestone, phase) == ("notes/two", "checks"):
            began.append(time.monotonic() + 0.5)
            interrupt_after(0.5)

    world.heard.on_phase_do = interrupt

    report = world.judge()

    assert time.monotonic() - began[0] < 7
    assert (report.interrupted, report.exit_code) == (True, 130)
    assert [result.verdict for result in report.milestones] == [Verdict.PASS, Verdict.ERROR, Verdict.ERROR]
    assert [result.reason for result in report.milestones[1:]] == ["interrupted"] * 2
    assert processes_in(world.folder) == []


@CAUGHT_UNAWARES
@pytest.mark.parametrize("phase", ["build", "space", "start", "checks", "end"])
def test_ctrl_c_at_any_phase_leaves_nothing(world: Any, phase: str) -> None:
    """Whatever is under way: every instance and process is gone when the report is there."""
    world.build = (("sleep", "30"),) if phase == "build" else ()
    world.milestone("notes/one", world.RIGHT)
    world.heard.on_phase_do = lambda _, name: interrupt_after(0.3 if phase == "build" else 0.02) if name == phase else None

    report = world.judge()

    assert report.interrupted
    assert world.engine.entries == {}
    assert processes_in(world.folder) == []


@CAUGHT_UNAWARES
def test_ctrl_c_while_a_check_waits_for_a_restart(world: Any) -> None:
    """A server that takes a minute to start again does not keep us."""
    source = (world.folder / "workspace" / "server.py").read_text()
    slow = "import os, time\nif os.path.exists('again'): time.sleep(60)\nopen('again', 'w').close()\n"
    (world.folder / "workspace" / "server.py").write_text(slow + source)
    world.start_budget = 60.0
    world.milestone("notes/one", "@check\ndef test_restart(): call('server.restart')\n")
    world.heard.on_phase_do = lambda _, name: interrupt_after(1.0) if name == "checks" else None
    began = time.monotonic()

    report = world.judge()

    assert report.interrupted
    assert time.monotonic() - began < 9
    assert processes_in(world.folder) == []


def test_an_error_of_ours_in_the_middle_leaves_nothing(world: Any) -> None:
    """An exception at any moment, here from the listener, goes through, and everything has ended."""
    world.milestone("notes/one", world.RIGHT)

    def fail(milestone: str, phase: str) -> None:
        if phase == "checks":
            raise RuntimeError("the terminal is gone")

    world.heard.on_phase_do = fail

    with pytest.raises(RuntimeError, match="terminal"):
        world.judge()
    assert world.engine.entries == {}
    assert processes_in(world.folder) == []


def test_a_server_that_cannot_start_because_a_service_died_is_an_error(world: Any) -> None:
    """The post-mortem stands before ``invalid``, too."""
    world.run_argv = (*world.run_argv, "exits")
    world.milestone("notes/one", world.RIGHT)
    world.heard.on_phase_do = lambda _, name: world.engine.kill("labs-check-unit-notes") if name == "start" else None

    result = world.one()

    assert (result.verdict, result.reason, result.attempts) == (Verdict.ERROR, "service-died", 2)


def test_a_broken_proxy_is_never_the_servers_fault(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own link between server and service is looked at before a failure is published."""
    from orchestrator.faults.proxy import Proxy

    world.milestone("notes/one", WRONG)
    alive = Proxy.alive
    world.heard.on_phase_do = lambda _, name: monkeypatch.setattr(
        Proxy, "alive", (lambda self: False) if name == "end" else alive
    )

    result = world.one()

    assert (result.verdict, result.reason) == (Verdict.ERROR, "proxy-broken")


def test_a_port_that_another_program_took_is_an_error(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The target's port was taken between our look and its start: ours, and tried again on another port."""
    from orchestrator.system import ports

    real = ports.free_port
    squatted: list[int] = []

    def squat(**wanted: Any) -> int:
        port = real(**wanted)
        if world.heard.phases and world.heard.phases[-1] == ("notes/one", "space") and not squatted:
            squatted.append(port)
            holder.bind(("127.0.0.1", port))
            holder.listen()
        return port

    monkeypatch.setattr(ports, "free_port", squat)
    world.milestone("notes/one", world.RIGHT)
    with socket.socket() as holder:
        result = world.one()

    assert squatted
    assert (result.verdict, result.attempts) == (Verdict.PASS, 2)


def test_the_admins_password_is_not_in_the_servers_environment(world: Any) -> None:
    """The target gets the learner's URL through the proxy, never the admin's."""
    (world.folder / "workspace" / "server.py").write_text(
        "import os, pathlib\npathlib.Path('env').write_text(repr(dict(os.environ)))\n"
        + (world.folder / "workspace" / "server.py").read_text()
    )
    world.milestone("notes/one", world.RIGHT)

    assert world.one().verdict is Verdict.PASS
    seen = (world.folder / "workspace" / "env").read_text()
    assert "secret-of-admin" not in seen
    assert f"'{world.engine.made[0].port}'" not in seen


def test_a_lab_whose_checks_cannot_be_read_is_an_error(world: Any) -> None:
    """A check file with a syntax error is the lab's fault, said as such."""
    world.milestone("notes/one", world.RIGHT, defined="def test_words(:\n")

    result = world.one()

    assert (result.verdict, result.reason) == (Verdict.ERROR, "lab-invalid")


def test_no_checks_is_no_pass(world: Any) -> None:
    """A file without checks proves nothing."""
    world.milestone("notes/one", "pass", defined="x = 1\n")

    assert world.one().verdict is Verdict.ERROR


def test_what_cannot_be_emptied_is_not_judged_on_a_server_that_runs(world: Any, tmp_path: Path) -> None:
    """The milestones that use it are unjudged, with what helps; no service is started for them."""
    world.milestone("notes/a", "")
    attached: Any = object()
    request = RunRequest(
        world.lab(), Workspace(tmp_path / "workspace", "shop", (), world.run_argv),
        (PlannedMilestone(world.milestones[0], "asked"),), seed=1, cache=tmp_path, attached=attached)

    report = supervisor.run(request, engine=world.engine, engine_reason="", recipes=world.recipes, listener=world.heard,
                            owner=Owner("run-unit", "1", "i", "lease", 1, 1.0, "judge"), folder=tmp_path)

    (result,) = report.milestones
    assert (result.verdict, result.reason) == (Verdict.UNJUDGED, "attached")
    assert "end labs run" in result.message
    assert world.engine.made == []
