"""The supervisor's side of ``explore``: a real server, held and killed at its steps, and a replica beside it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.faults.proxy import Proxy
from orchestrator.judge.child import CallFailed
from orchestrator.judge.exploring import Exploring
from orchestrator.model import Verdict


def test_a_server_is_killed_while_it_is_held_and_lives_again(world: Any) -> None:
    """What it was about to say never arrives; the time line names the step and what was done there."""
    world.milestone("notes/one", """
    @check
    def test_dies():
        call("explore.listen")
        before = get("/pid")
        call("explore.arm", do="hold", service="notes", kind="", nth=1, where="step 1 of 1")
        def ask():
            try: answers.append(get("/words"))
            except Failure as error: answers.append(error.failure["reason"])
        answers = []
        asking = threading.Thread(target=ask)
        asking.start()
        found = call("explore.acted", seconds=10)
        if found["step"]["service"] != "notes" or found["before"]: raise Failure(what=str(found))
        call("explore.crash")
        asking.join()
        if answers != ["no-answer"] or get("/pid") == before: raise Failure(what=str(answers))
        call("explore.end")
        return get("/words")
""")

    assert world.one().verdict is Verdict.PASS, world.heard.milestones
    marks = [mark.text for mark in world.heard.timelines[-1].marks]
    assert marks == ["step 1 of 1: your server is held before a message to notes",
                     "step 1 of 1: your server is killed there, and started again"]


def test_what_a_replica_does_is_not_the_server_s(world: Any) -> None:
    """Each has links of its own to the same service; those of a replica end with it."""
    world.milestone("notes/one", """
    @check
    def test_apart():
        call("explore.listen")
        twin = call("server.replica")
        call("explore.arm")
        with urllib.request.urlopen(twin["url"] + "/words", timeout=30): pass
        theirs = call("explore.settle", seconds=0.05)
        get("/words")
        ours = call("explore.settle", seconds=0.05)
        call("replica.stop", replica=twin["replica"], grace=0.0)
        if (len(theirs), len(ours)) != (0, 1): raise Failure(what=str([theirs, ours]))
""")

    result = world.one()

    assert result.verdict is Verdict.PASS, result


def test_what_is_still_held_when_the_checks_end_goes_on(world: Any) -> None:
    """A child that forgets to let go, or dies, leaves nothing standing."""
    body = """
    @check
    def test_forgets():
        call("explore.listen")
        call("explore.arm", do="hold", nth=0)
        threading.Thread(target=get, args=["/words"], daemon=True).start()
        call("explore.acted", seconds=10)
"""
    world.milestone("notes/one", body)
    world.milestone("notes/two", "    @check\n    def test_words():\n        return get('/words')\n")

    assert [result.verdict for result in world.judge().milestones] == [Verdict.PASS, Verdict.PASS]


def test_wishes_that_make_no_sense_are_our_bug() -> None:
    """A check cannot ask for what there is not, nor before anybody looks."""
    with Proxy() as proxy:
        exploring = Exploring(proxy, dict, [], lambda gone: gone())
        for call, args in (("explore.arm", {}), ("explore.acted", {}), ("explore.learn", {"seconds": 0.1})):
            with pytest.raises(CallFailed) as caught:
                exploring.methods[call](args)
            assert caught.value.failure["kind"] == "bug"
        exploring.methods["explore.listen"]({})
        exploring.methods["explore.arm"]({})
        with pytest.raises(CallFailed):
            exploring.methods["explore.arm"]({"do": "explode"})
        exploring.close()
        exploring.close()
