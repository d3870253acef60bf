"""The pytest child, real, over a real socketpair: what it says of each way a check can end."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.child import MILESTONE, NONCE, Run, run_checks
from support.junk import JUNK, JunkServer

from orchestrator.model import Verdict

FAIL, TIMEOUT, ERROR, PASS, UNJUDGED = (Verdict.FAIL, Verdict.TIMEOUT, Verdict.ERROR, Verdict.PASS, Verdict.UNJUDGED)

# --- every kind of junk ------------------------------------------------------------------------------------------

JUNK_CHECKS = "".join(
    f"def test_{name}(server):\n    server.get('/{name}', deadline={0.6 if junk.verdict is TIMEOUT else 10.0}).json()\n"
    for name, junk in JUNK.items()
)


@pytest.fixture(scope="module")
def junk_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    with JunkServer() as server:
        return run_checks(tmp_path_factory.mktemp("junk"), JUNK_CHECKS, url=server.url)


@pytest.mark.parametrize("name", JUNK)
def test_junk_gets_the_verdict_that_is_promised(junk_run: Run, name: str) -> None:
    """T16, X05: whatever a server does instead of answering is its failure or its time-out, never an error of ours."""
    result = junk_run[f"test_{name}"]

    assert junk_run.judgement.flaw == ""
    assert (result.verdict, result.reason) == (JUNK[name].verdict, JUNK[name].reason)
    if result.verdict is not PASS:
        assert result.exchange is not None
        assert result.exchange.curl.startswith("curl -i http://127.0.0.1:")


# --- every way a check can end -------------------------------------------------------------------------------------

ENDS = '''
"""Checks that end in every way there is."""
import ctypes, os, socket, subprocess, sys, threading
import pytest
from orchestrator.checks import expect
from orchestrator.checks.errors import Failed, MachineSlow, SchemaWrong, ServiceLost, TargetTimeout, TargetWrong, Unjudged

def test_good(server, fresh, evidence):
    """A good check, with a title.

    And more words.
    """
    evidence("first")
    evidence("second \\x1b[2J" + "x" * 1000)
    assert fresh.name("a") != fresh.name("a")

def test_untitled():
    "   "

def test_assert(): assert [1, 2, 3] == [1, 2, 4]
def test_expect():
    expect.equal(1, 2, "the sum", reason="wrong-sum")
def test_wrong(): raise TargetWrong("no-answer", "GET /x", "an answer", "none")
def test_timeout(): raise TargetTimeout("too-slow", "GET /x")
def test_schema(): raise SchemaWrong("schema-missing-table", "the table orders")
def test_unjudged(): raise Unjudged("pgcrypto is not here", "use Docker")
def test_machine(): raise MachineSlow("too slow")
def test_lost(): raise ServiceLost("redis", "gone")
def test_bug(): return {}["key"]
def test_pytest_fail(): pytest.fail("this is wrong")
def test_raises():
    with pytest.raises(ValueError): pass
def test_skip(): pytest.skip("not today")
@pytest.mark.skip(reason="not today")
def test_skip_mark(): pass
@pytest.mark.xfail(reason="known")
def test_xfail(): assert False
@pytest.mark.xfail(reason="known")
def test_xpass(): pass
@pytest.mark.xfail(reason="known", strict=True)
def test_xpass_strict(): pass
async def test_async(): pass
def test_returns(): return 1
def test_library_assert(): threading.Thread(group=1)
def test_base_exception(): raise BaseException("odd")
def test_exit_in_thread_is_no_pass():
    raise SystemExit(0)

def test_group(): raise ExceptionGroup("g", [TargetTimeout("too-slow", "a"), Failed("wrong-one", "b"), TargetTimeout("too-slow", "c")])
def test_group_ours(): raise ExceptionGroup("g", [Failed("wrong-one", "b"), ExceptionGroup("h", [ServiceLost("redis", "gone")])])
def test_group_bug(): raise ExceptionGroup("g", [Failed("wrong-one", "b"), KeyError("x")])
def test_masked():
    try:
        raise ServiceLost("redis", "gone")
    finally:
        expect.fail("the clean-up", reason="masked")
def test_handled():
    try:
        raise ServiceLost("redis", "gone")
    except ServiceLost:
        raise Failed("on-purpose", "it") from None
def test_library_error_handled():
    try:
        {}["key"]
    except KeyError:
        expect.fail("it", reason="on-purpose")

def helper():
    expect.fail("it", reason="deep")
def test_deep():
    helper()
def test_shared(shared): shared()
def test_setup(broken_setup): pass
def test_teardown(broken_teardown): pass
def test_call_and_teardown(broken_teardown): expect.fail("it", reason="call-first")
def test_no_fixture(nobody_has_this): pass
def test_no_service(postgres): pass
def test_wait(wait): wait.until(lambda: 0, deadline=0.05, what="a zero")
def test_hostile_words():
    expect.fail("\\x1b[2J" + "w" * 100_000, reason="long", seen="\\x9b" + "s" * 100_000)
def test_hostile_assert():
    assert "a\\x1b[2J" * 1000 == "b"

def test_not_dumpable():
    if sys.platform == "linux":
        assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0
def test_programs_do_not_get_the_channel():
    number = int(os.environ["LABS_CHANNEL"])
    answer = subprocess.run([sys.executable, "-c", f"import os; os.fstat({number})"], close_fds=False, stderr=subprocess.PIPE)
    assert b"Bad file descriptor" in answer.stderr
def test_the_first_message_is_nowhere_else():
    assert not any("NONCE" in text for text in [*sys.argv, *os.environ.values()])
'''.replace("NONCE", NONCE)

CONFTEST = '''
import pytest
from orchestrator.checks import expect
@pytest.fixture
def shared():
    def judge():
        expect.fail("it", reason="shared")
    return judge
@pytest.fixture
def broken_setup(): raise KeyError("setup")
@pytest.fixture
def broken_teardown():
    yield
    raise KeyError("teardown")
'''


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Run:
    # A folder whose name a shell, and pytest, would read as something else.
    return run_checks(tmp_path_factory.mktemp("ends"), ENDS, conftest=CONFTEST, lab="a lab's [x] :: é $(id)")


@pytest.mark.parametrize(("name", "verdict", "reason"), [
    ("good", PASS, ""), ("untitled", PASS, ""), ("assert", FAIL, "assertion"), ("expect", FAIL, "wrong-sum"),
    ("wrong", FAIL, "no-answer"), ("timeout", TIMEOUT, "too-slow"), ("schema", FAIL, "schema-missing-table"),
    ("unjudged", UNJUDGED, "unjudged"), ("machine", ERROR, "machine-too-slow"), ("lost", ERROR, "service-lost"),
    ("bug", ERROR, "bug"), ("pytest_fail", FAIL, "assertion"), ("raises", FAIL, "assertion"),
    ("skip", ERROR, "skipped"), ("skip_mark", ERROR, "skipped"), ("xfail", ERROR, "skipped"),
    ("xpass", ERROR, "skipped"), ("xpass_strict", ERROR, "bug"), ("async", ERROR, "bug"), ("returns", ERROR, "bug"),
    ("library_assert", ERROR, "bug"), ("base_exception", ERROR, "bug"), ("exit_in_thread_is_no_pass", ERROR, "bug"),
    ("group", FAIL, "wrong-one"), ("group_ours", ERROR, "service-lost"), ("group_bug", ERROR, "bug"),
    ("masked", ERROR, "service-lost"), ("handled", FAIL, "on-purpose"), ("library_error_handled", FAIL, "on-purpose"),
    ("deep", FAIL, "deep"), ("shared", FAIL, "shared"), ("setup", ERROR, "bug"), ("teardown", ERROR, "bug"),
    ("call_and_teardown", FAIL, "call-first"), ("no_fixture", ERROR, "bug"), ("no_service", UNJUDGED, "unjudged"),
    ("wait", ERROR, "bug"), ("hostile_words", FAIL, "long"), ("hostile_assert", FAIL, "assertion"),
    ("not_dumpable", PASS, ""), ("programs_do_not_get_the_channel", PASS, ""),
    ("the_first_message_is_nowhere_else", PASS, ""),
])
def test_blame(ends: Run, name: str, verdict: Verdict, reason: str) -> None:
    """V07, T08: each end of a check has the verdict of its exception's type; what is ours is never the learner's."""
    result = ends[f"test_{name}"]

    assert ends.judgement.flaw == "", ends.output
    assert (result.verdict, result.reason) == (verdict, reason), result


def test_every_end_was_looked_at(ends: Run) -> None:
    """The list above is complete."""
    assert len(ends.judgement.checks) == len(test_blame.pytestmark[0].args[1])


@pytest.mark.parametrize(("name", "file", "text"), [
    ("expect", "checks/test_shop_step.py", "expect.equal"), ("deep", "checks/test_shop_step.py", 'reason="deep"'),
    ("shared", "checks/conftest.py", 'reason="shared"'), ("bug", "checks/test_shop_step.py", 'return {}["key"]'),
])
def test_where(ends: Run, name: str, file: str, text: str) -> None:
    """The line of the lab's own file that judged, in a helper or a shared fixture, too."""
    lines = (ENDS if file.endswith("step.py") else CONFTEST).splitlines()
    where, _, number = ends[f"test_{name}"].where.partition(":")

    assert where == file
    assert text in lines[int(number) - 1]


def test_words(ends: Run) -> None:
    """Titles are the first line; evidence, explanations and messages are short, and no terminal obeys them."""
    titles = {message["check"]: message["title"] for message in ends.events("started")}

    assert titles[f"{MILESTONE}/test_good"] == "A good check, with a title."
    assert titles[f"{MILESTONE}/test_untitled"] == "test_untitled"
    first, second = ends["test_good"].evidence
    assert first == "first"
    assert second.startswith("second \\x1b[2J")
    assert len(second) <= 400
    assert ends["test_assert"].what.startswith("assert [1, 2, 3] == [1, 2, 4]")
    assert ends["test_unjudged"].expected == "use Docker"
    assert "a zero" in ends["test_wait"].what
    for name in ("hostile_words", "hostile_assert"):
        result = ends[f"test_{name}"]
        for text in (result.what, result.expected, result.seen):
            assert len(text) <= 400
            assert text.isprintable()


OWN_EVIDENCE = '''
import pytest

@pytest.fixture
def bucket(services):
    return services["minio"]
'''


class Waking:
    """The supervisor's side of a service that sleeps."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []

    def answer(self, call: str, args: object) -> object:
        self.asked.append((call, args))
        return {"port": 6379}


def test_a_labs_own_evidence_is_told_where_its_service_is(tmp_path: Path) -> None:
    """The fixture `services` has addresses and credentials; a service that sleeps is woken, once, for the question."""
    asleep = Waking()
    run = run_checks(tmp_path, '''
        def test_where(bucket, services):
            assert (bucket["port"], bucket["ports"]["console"], bucket["user"]) == (9000, 9001, "me")
            assert "redis" not in services

        def test_asleep(services):
            assert services["redis"] == {"port": 6379} == services["redis"]
    ''', conftest=OWN_EVIDENCE, answerer=asleep, services={"minio": {"port": 9000, "ports": {"console": 9001}, "user": "me"}})

    assert run["test_where"].verdict is PASS, run["test_where"]
    assert run["test_asleep"].verdict is PASS, run["test_asleep"]
    assert asleep.asked == [("service.admin", {"service": "redis"})]


def test_a_check_that_blames_the_server_says_so_before_the_next_one_begins(tmp_path: Path) -> None:
    """The supervisor then keeps what the logs say; a fault of ours is none of the server's."""
    supervisor = Waking()
    run = run_checks(tmp_path, '''
        def test_good(): pass
        def test_bad(): assert 1 == 2
        def test_bug(): return {}["key"]
        def test_bad_clean_up(request): request.addfinalizer(lambda: exec("assert 1 == 2"))
    ''', answerer=supervisor)

    assert run["test_bad"].verdict is FAIL
    assert supervisor.asked == [("check.failed", {})]


def test_a_proof_shuffles_the_checks_and_a_seed_repeats_their_order(tmp_path: Path) -> None:
    """Whoever needs a check before another is found; without the wish they run as they stand in the file."""
    source = "STATE = []\n" + "".join(
        f'\ndef test_{name}():\n    """Needs those before it."""\n    assert len(STATE) == {number}\n'
        f"    STATE.append(1)\n" for number, name in enumerate("abcdef"))

    def order(folder: str, **first: object) -> list[object]:
        run = run_checks(tmp_path / folder, source, **first)
        return [str(one["check"]).rsplit("_", 1)[1] for one in run.events("started")]

    plain, shuffled = order("plain"), order("one", shuffle=True, seed=3)
    assert plain == list("abcdef")
    assert shuffled != plain
    assert sorted(shuffled) == plain  # type: ignore[type-var]
    assert order("two", shuffle=True, seed=3) == shuffled
