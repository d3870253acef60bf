"""Work in threads: none of it is lost, whenever an interruption comes."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack

import pytest

from orchestrator.system.together import Together, made, surely


def test_all_are_done_side_by_side() -> None:
    """Each waits for the others: one after the other would never end."""
    meet = threading.Barrier(3, timeout=5)
    done: list[int] = []

    def work(item: int) -> None:
        meet.wait()
        done.append(item)

    job = Together(work, [1, 2, 3])
    job.start()
    job.wait()

    assert sorted(done) == [1, 2, 3]


def test_the_first_error_is_raised() -> None:
    def work(_: None) -> None:
        raise LookupError("not here")

    job = Together(work, [None])
    job.start()

    with pytest.raises(LookupError, match="not here"):
        job.wait()


def test_settle_says_whether_something_still_runs() -> None:
    go_on = threading.Event()
    job = Together(lambda _: go_on.wait(5), [None])
    job.start()

    assert not job.settle(0.0)
    go_on.set()
    assert job.settle(5.0)


@pytest.mark.parametrize("born", [True, False])
def test_interrupted_between_a_threads_birth_and_its_first_step(monkeypatch: pytest.MonkeyPatch, born: bool) -> None:
    """The main thread is told to stop while the new thread waits for its turn: what it would make is never made."""
    undone: list[str] = []
    box: list[str] = []
    late: list[threading.Thread] = []
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        late.append(thread)
        if born:
            start(thread)
            thread.join(5)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), ExitStack() as stack:
        made(stack, lambda: box.append("thing") or "thing", undone.append)
    if not born:
        start(late[0])
        late[0].join(5)

    assert (box, undone) == ((["thing"], ["thing"]) if born else ([], []))


def test_an_undoing_that_is_interrupted_goes_on_to_its_end() -> None:
    """Ctrl-C in the middle: all is undone, once, and then the interruption goes on."""
    undone: list[int] = []

    def undo() -> None:
        undone.append(1)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        heard.wait(5)
        undone.append(2)

    heard = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def interrupt(_signal: int, _frame: object) -> None:
        heard.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            surely(undo)
    finally:
        signal.signal(signal.SIGINT, before)

    assert undone == [1, 2]
