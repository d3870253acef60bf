"""Servers that mean harm, or know no better: each case of `hostile.md` that concerns the target as a local process.

After every test nothing of it is left: no process with its ``LABS_RUN``, no file in its scratch folder (see ``make``).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.target import SERVER, Make, comes, invalid, processes_of
from support.wait import until

from orchestrator.model import Workspace
from orchestrator.system.ports import free_port
from orchestrator.targets import process as process_module
from orchestrator.targets.environ import target_environment
from orchestrator.targets.process import Target

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and stands on Linux's subreaper")

DAEMON = """
def daemon(work):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    work()
    os._exit(0)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def health(target: Target, seconds: float = 5.0) -> int:
    try:
        with urllib.request.urlopen(f"{target.url}/health", timeout=seconds) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


# --- T: a server that wants a verdict it has not earned ---------------------------------------------------------


def test_T01_a_server_that_exits_at_its_first_request_is_seen_as_gone(make: Make) -> None:
    """Exit status 0 is no success: the server is not there any more, and its status says how it went."""
    target = make("""
        seen = []
        class Quits(Handler):
            def do_GET(self):
                seen.append(self.path)
                if len(seen) > 1:
                    os._exit(0)
                super().do_GET()
        serve(handler=Quits)
    """)
    target.start()
    with pytest.raises(OSError, match=r"closed|reset"):
        health(target)
    until(lambda: not target.alive())

    assert target.status() == 0
    assert target.stop() == 0


@pytest.mark.parametrize(("program", "words"), [
    ("os.abort()", "SIGABRT"),
    ("ctypes.string_at(0)", "SIGSEGV"),
    ("sys.exit('no database')", "exit status 1"),
    ("os.kill(0, signal.SIGKILL)", "SIGKILL"),
    ("signal.alarm(1); time.sleep(30)", "SIGALRM"),
])
def test_T02_how_a_server_died_is_named(make: Make, program: str, words: str) -> None:
    """A learner reads the signal's name; one that signals its whole group hits nobody but itself."""
    error = invalid(make(program))

    assert error.reason == "exited"
    assert words in error.message


def test_T05_what_the_shell_of_labs_exports_does_not_reach_the_server(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither secrets nor what would change the program under judgement."""
    forbidden = ("LD_PRELOAD", "BASH_ENV", "PYTHONPATH", "PYTEST_ADDOPTS", "AWS_SECRET_ACCESS_KEY", "LABS_HOME",
                 "GOOGLE_APPLICATION_CREDENTIALS", "GITHUB_TOKEN", "SSH_AUTH_SOCK", "NODE_AUTH_TOKEN", "HTTPS_PROXY")
    for name in forbidden:
        monkeypatch.setenv(name, "")
    target = make(f"open({str(tmp_path / 'env')!r}, 'w').write('\\n'.join(os.environ))\nserve()")
    target.start()
    names = (tmp_path / "env").read_text().split()

    assert set(names).isdisjoint(forbidden)
    assert {"PATH", "PORT", "LABS_RUN", "TMPDIR"} <= set(names)


def test_T07_what_a_server_prints_does_not_steer_the_terminal(make: Make) -> None:
    """Clearing the screen, titles, carriage returns, text that runs backwards: all visible, none in effect."""
    target = make("os.write(1, b'\\x1b[2J\\x1b]0;t\\x07 5 passed\\r\\x9b31m\\xff \\xe2\\x80\\xae \\x00\\n')\nserve()")
    target.start()
    log = until(target.log)

    assert "5 passed" in log
    assert all(character.isprintable() or character == "\n" for character in log)


def test_T12_a_server_that_kills_its_keeper_leaves_nothing(make: Make, run_id: str, tmp_path: Path) -> None:
    """The program dies with its keeper; what it had sent away is found by the run's id."""
    target = make(DAEMON + f"""
daemon(lambda: (open({str(tmp_path / "pid")!r}, "w").write(str(os.getpid())), time.sleep(600)))
while not os.path.exists({str(tmp_path / "pid")!r}):
    time.sleep(0.01)
threading.Timer(0.2, lambda: os.kill(os.getppid(), signal.SIGKILL)).start()
serve()
""")
    target.start()
    until(lambda: not target.alive())
    target.close()

    assert gone(int(comes(tmp_path / "pid")))


def test_T12_signals_that_stop_a_keeper_in_good_order_do_not_lose_the_server(make: Make) -> None:
    """Ctrl-C, a hang-up, a polite kill: the keeper stays until `labs` has spoken."""
    target = make("""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            os.kill(os.getppid(), number)
        serve()
    """)
    target.start()

    assert health(target) == 503
    assert target.stop() == -signal.SIGTERM


# --- X: resources -----------------------------------------------------------------------------------------------


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


# --- L: lifecycle -----------------------------------------------------------------------------------------------


def test_L02_when_labs_is_killed_even_the_stubborn_end(tmp_path: Path, run_id: str) -> None:
    """SIGKILL of `labs`: the keeper sees its pipe end; a server deaf to SIGTERM and its daemon have 5 s of grace."""
    (tmp_path / "server.py").write_text(SERVER + DAEMON + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                                        "daemon(lambda: time.sleep(600))\nserve()")
    program = f"""
import pathlib, sys, time
from orchestrator.model import Workspace
from orchestrator.workspace.budgets import Budget
from orchestrator.targets.process import Target
from orchestrator.targets.environ import target_environment
folder = pathlib.Path({str(tmp_path)!r})
target = Target(Workspace(folder, "lab", (), (sys.executable, "server.py")), port={free_port()},
                environment=target_environment(port=0, run_id={run_id!r}, services={{}}, extra={{}}),
                run_id={run_id!r}, start_budget=Budget(20), scratch=folder / "scratch")
target.start()
print("ready", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as labs:
        assert labs.stdout is not None
        assert labs.stdout.readline() == "ready\n"
        assert len(processes_of(run_id)) >= 3
        labs.kill()

    until(lambda: not processes_of(run_id), seconds=12)


def test_L10_a_port_lost_between_choosing_and_binding_is_our_fault(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server says "address in use" and exits 1; that is not its mistake."""
    target = make("serve()")
    monkeypatch.setattr(process_module, "answers", lambda *_: False)
    with socket.create_server(("127.0.0.1", target.port)):
        error = invalid(target)

    assert error.reason == "port-taken-by-other"
    assert error.ours
    assert "in use" in error.log


def test_L10_an_answer_of_another_program_is_not_taken_for_the_servers(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose socket it is decides, not that something says HTTP."""
    target = make("time.sleep(60)")
    monkeypatch.setattr(process_module, "answers", lambda *_: False)
    with socket.create_server(("127.0.0.1", target.port)) as thief:
        threading.Thread(target=_accept_for_ever, args=(thief,), daemon=True).start()
        error = invalid(target)

    assert error.reason == "port-taken-by-other"


def _accept_for_ever(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            try:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            except OSError:
                continue


def test_L10_a_restart_follows_at_once_on_the_same_port(make: Make) -> None:
    """Connections that the server closed are remembered by the kernel for a minute; its port is free all the same."""
    target = make("serve()")
    for _ in range(3):
        target.start()
        assert health(target) == 503
        target.stop()


@pytest.mark.parametrize("folder", [
    "with a space", "quote'd \"twice\"", "$(touch pwned) `id` $HOME ; &", "żółw 漢字 🐢", "-rf", "x" * 200, "new\nline",
    "percent%s{x}",
])
def test_L20_a_folder_of_any_name_works(make: Make, tmp_path: Path, folder: str) -> None:
    """No shell reads it, nothing is split at it, and a program below it is found."""
    (tmp_path / folder).mkdir()
    program = tmp_path / folder / "run me"
    program.write_text('#!/bin/sh\nexec "$1" server.py\n')
    program.chmod(0o755)
    target = make("serve()", folder=folder, run=("./run me", sys.executable))
    target.start()

    assert target.alive()
    assert not (tmp_path / folder / "pwned").exists()


@pytest.mark.parametrize(("content", "mode", "words"), [
    ("#!/bin/sh\n", 0o644, "chmod +x ./go"),
    ("no first line\n", 0o755, "#!/bin/sh"),
    ("#!/no/such/interpreter\n", 0o755, "could not be started"),
])
def test_L20_a_program_that_cannot_be_executed_is_told_apart(
    make: Make, tmp_path: Path, content: str, mode: int, words: str
) -> None:
    """The system's words and what to do."""
    target = make("", run=("./go",))
    (tmp_path / "server" / "go").write_text(content)
    (tmp_path / "server" / "go").chmod(mode)

    assert words in invalid(target).message


def test_L20_a_folder_that_has_gone_is_told(make: Make, tmp_path: Path) -> None:
    """The learner moved it while `labs watch` ran."""
    target = make("serve()")
    target._workspace = Workspace(tmp_path / "moved", "lab", (), (sys.executable, "server.py"))

    assert "moved" in invalid(target).message


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_L20_any_umask_works(make: Make, mask: int) -> None:
    """Files are ours whatever the shell's habit."""
    before = os.umask(mask)
    try:
        target = make("serve()")
        target.start()
        assert target.alive()
    finally:
        os.umask(before)


def test_a_target_environment_has_the_port_of_the_target() -> None:
    """The variable, not a convention."""
    assert target_environment(port=18_000, run_id="r", services={}, extra={"PORT": "1"})["PORT"] == "18000"
