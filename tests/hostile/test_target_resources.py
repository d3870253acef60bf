"""A server that takes what it can get and does not end: the cases X of `hostile.md` for the target as a local process.

After every test nothing of it is left: no process with its ``LABS_RUN``, no file in its scratch folder (see ``make``).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from support.processes import gone
from support.target import DAEMON, Make, comes, health, invalid, processes_of
from support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and stands on Linux's subreaper")


def test_X01_a_fork_bomb_ends(make: Make, tmp_path: Path) -> None:
    """Some eighty processes that go on forking: all gone within seconds.

    The machine is shared, so each fork costs a token: eighty at once, then two hundred a second for two seconds.
    """
    target = make("""
        tokens, more = os.pipe()
        os.set_blocking(tokens, False)
        os.write(more, b"x" * 80)
        def bomb():
            while True:
                try:
                    os.read(tokens, 1)
                    if os.fork() == 0:
                        os.setsid()
                except OSError:
                    pass
                time.sleep(0.002)
        def go_on():
            for _ in range(400):
                os.write(more, b"x")
                time.sleep(0.005)
        if os.fork() == 0:
            bomb()
        threading.Thread(target=go_on, daemon=True).start()
        serve()
    """)
    target.start()
    until(lambda: len(processes_of(target._environment["LABS_RUN"])) > 40)
    began = time.monotonic()
    target.kill()

    assert time.monotonic() - began < 8


@pytest.mark.parametrize("escape", ["pass", "c.setsid()"])
def test_X01_a_process_that_is_always_another_one_is_caught(make: Make, tmp_path: Path, escape: str) -> None:
    """It forks and leaves, thousands of times a second, so that whoever lists processes is late."""
    comet = f"import ctypes\nc = ctypes.CDLL(None)\nwhile True:\n    if c.fork():\n        c._exit(0)\n    {escape}\n"
    (tmp_path / "comet.py").write_text(comet)
    target = make(f"subprocess.Popen([sys.executable, {str(tmp_path / 'comet.py')!r}])\nserve()")
    target.start()
    until(lambda: len(processes_of(target._environment["LABS_RUN"])) >= 2)
    target.kill()


def test_X02_a_daemon_with_its_own_session_ends_with_the_server(make: Make, tmp_path: Path) -> None:
    """Forked twice, deaf to SIGTERM, its environment emptied: no mark is left on it but who its parent is."""
    code = ("import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
            "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)")
    target = make(DAEMON + f"""
daemon(lambda: os.execve(sys.executable, ["python", "-c", {code!r}, {str(tmp_path / "pid")!r}], {{}}))
serve()
""")
    target.start()
    pid = int(comes(tmp_path / "pid"))
    target.stop(grace=0.3)

    assert gone(pid)


def test_X02_a_process_whose_first_thread_is_over_is_ended_too(make: Make, tmp_path: Path) -> None:
    """The kernel shows it as a zombie while its other threads run on."""
    (tmp_path / "headless.py").write_text(
        "import ctypes, os, threading, time\n"
        f"threading.Thread(target=lambda: [open({str(tmp_path / 'beat')!r}, 'w').write(str(time.time())) or "
        "time.sleep(0.01) for _ in range(60_000)]).start()\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        "ctypes.CDLL(None).syscall(60, 0)\n"
    )
    target = make(f"subprocess.Popen([sys.executable, {str(tmp_path / 'headless.py')!r}], start_new_session=True)\nserve()")
    target.start()
    pid = int(comes(tmp_path / "pid"))
    until(lambda: gone(pid) and (tmp_path / "beat").exists())
    target.kill()

    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(("program", "words"), [
    ("s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\nwhile True:\n    c, _ = s.accept()\n"
     "    try:\n        while True: c.sendall(b'H'); time.sleep(0.3)\n    except OSError: pass", "got no HTTP answer"),
    ("s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\nwhile True:\n    c, _ = s.accept()\n"
     "    try:\n        while True: c.sendall(b'garbage' * 1000)\n    except OSError: pass", "got no HTTP answer"),
    ("s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\nwhile True: s.accept()[0].close()",
     "got no HTTP answer"),
], ids=["a byte at a time", "endless", "hangs up"])
def test_X05_a_server_that_never_answers_is_given_its_budget_and_no_more(
    make: Make, program: str, words: str
) -> None:
    """It is told what it did, within the start-up budget and a moment."""
    target = make(program, budget=4.0)
    began = time.monotonic()
    error = invalid(target)

    assert error.reason == "never-bound"
    assert words in error.message
    assert time.monotonic() - began < 12


def test_X05_a_slow_first_answer_is_waited_for(make: Make) -> None:
    """A server that thinks for three seconds about its health is slow, not absent."""
    target = make("class Slow(Handler):\n    def do_GET(self):\n        time.sleep(3)\n        super().do_GET()\n"
                  "serve(handler=Slow)")
    target.start()

    assert target.alive()


def test_X05_a_server_that_dies_while_it_is_asked_is_not_waited_for(make: Make) -> None:
    """Its end is seen while the request is open, although a child of it holds the connection."""
    target = make("""
        s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))
        c, _ = s.accept()
        if os.fork():
            os._exit(9)
        time.sleep(60)
    """, budget=30)
    began = time.monotonic()
    error = invalid(target)

    assert "exit status 9" in error.message
    assert time.monotonic() - began < 10


def test_X06_a_flood_neither_stops_the_server_nor_fills_memory(make: Make, tmp_path: Path) -> None:
    """One endless line of binary rubbish, as fast as it goes: health is answered, and what is kept is capped."""
    target = make("threading.Thread(target=lambda: [os.write(1, bytes(range(256)) * 256) for _ in iter(int, 1)], "
                  "daemon=True).start()\nserve()")
    target.start()
    output = target._process.output  # type: ignore[union-attr]
    until(lambda: output._dropped > 20_000_000)

    assert health(target) == 503
    with output._lock:
        assert len(output._head) + sum(len(part) for part in output._tail) <= 80 * 1024
    assert len(target.log(10_000)) < 1_000_000
    assert max(len(line) for line in target.log(10_000).splitlines()) <= 8000


def test_X07_a_deep_forbidden_scratch_folder_is_removed(make: Make) -> None:
    """What it put into its TMPDIR goes with it, however it is made."""
    target = make("""
        os.chdir(os.environ["TMPDIR"])
        for _ in range(400):
            os.mkdir("x" * 200)
            os.chdir("x" * 200)
        os.mkdir("\\n")
        os.chmod("\\n", 0)
        serve()
    """)
    target.start()


def test_X12_a_server_that_needs_its_grace_ends_in_its_own_way(make: Make, tmp_path: Path) -> None:
    """SIGTERM once, a second to finish, exit status 3: that is what stop reports, and it does not wait longer."""
    target = make(f"""
        def finish(*_):
            with open({str(tmp_path / "heard")!r}, "a") as file:
                file.write("x")
            time.sleep(1)
            os._exit(3)
        signal.signal(signal.SIGTERM, finish)
        serve()
    """)
    target.start()
    began = time.monotonic()

    assert target.stop(grace=20) == 3
    assert time.monotonic() - began < 10
    assert (tmp_path / "heard").read_text() == "x"


def test_X12_workers_hear_sigterm_once_when_their_parent_passes_it_on(make: Make, tmp_path: Path) -> None:
    """Twice would look like an impatient person to many servers, who then drop what they were doing."""
    heard = str(tmp_path / "heard")
    target = make(f"""
        import signal
        worker = os.fork()
        if worker == 0:
            def finish(*_):
                with open({heard!r}, "a") as file:
                    file.write("x")
            signal.signal(signal.SIGTERM, finish)
            end = time.monotonic() + 60
            while not os.path.exists({heard!r}) and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.5)
            os._exit(0)
        def forward(*_):
            os.kill(worker, signal.SIGTERM)
            os.waitpid(worker, 0)
            os._exit(0)
        signal.signal(signal.SIGTERM, forward)
        serve()
    """)
    target.start()

    assert target.stop(grace=20) == 0
    assert (tmp_path / "heard").read_text() == "x"


def test_X12_a_server_behind_a_script_is_stopped_in_good_order(make: Make, tmp_path: Path) -> None:
    """The shell dies of SIGTERM at once and passes nothing on; its server hears SIGTERM, too, and has the grace."""
    folder = tmp_path / "server"
    folder.mkdir()
    script = folder / "run.sh"
    script.write_text(f"#!/bin/sh\n{sys.executable} server.py\n")
    script.chmod(0o755)
    target = make(f"signal.signal(signal.SIGTERM, lambda *_: (open({str(tmp_path / 'heard')!r}, 'w').write('x'), "
                  "os._exit(0)))\nserve()", run=("./run.sh",))
    target.start()
    target.stop(grace=20)

    assert (tmp_path / "heard").read_text() == "x"


def test_X12_ctrl_c_in_the_terminal_does_not_reach_the_server(make: Make) -> None:
    """It is `labs` that ends the server, in order; so the server is in another session than the terminal's."""
    target = make("serve()")
    target.start()
    pid = target._process.pid  # type: ignore[union-attr]
    assert pid is not None

    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)
