"""A server that wants a verdict it has not earned: the cases T of `hostile.md` for the target as a local process.

After every test nothing of it is left: no process with its ``LABS_RUN``, no file in its scratch folder (see ``make``).
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from support.processes import gone
from support.target import DAEMON, Make, comes, health, invalid
from support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and stands on Linux's subreaper")


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
