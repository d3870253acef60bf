"""Whole runs in which a service, the keeper, our proxy or the port was wrong: the server is not blamed."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from orchestrator.judge.vigil import LOOK_EVERY
from orchestrator.model import Verdict


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

    world.milestone("notes/one", world.WRONG)
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
