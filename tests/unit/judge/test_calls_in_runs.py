"""Calls of the child in whole runs: faults of services, the server's life, replicas."""

from __future__ import annotations

from typing import Any

from orchestrator.model import Verdict


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
        for kind in ("down", "shut", "hold", "stop"):
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
