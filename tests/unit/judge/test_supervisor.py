"""Whole runs in small: a real server, real sockets, services in memory, children that are scripts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from orchestrator.model import Verdict


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
    world.milestone("notes/one", world.WRONG)

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
    world.milestone("notes/two", world.WRONG)

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
    world.milestone("notes/one", world.WRONG)
    world.milestone("notes/two", world.RIGHT, needs=["notes/one"])
    world.milestone("notes/three", world.RIGHT, needs=["notes/two"])
    world.milestone("notes/free", world.RIGHT)

    verdicts = {result.id: result.verdict for result in world.judge().milestones}

    assert verdicts == {"notes/one": Verdict.FAIL, "notes/two": Verdict.BLOCKED, "notes/three": Verdict.BLOCKED,
                        "notes/free": Verdict.PASS}


def test_later_milestones_are_listed_and_not_run(world: Any) -> None:
    """``later`` is a line, no run; a run of nothing starts no service."""
    world.milestone("notes/one", world.WRONG, role="later")

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
