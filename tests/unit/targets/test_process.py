"""The target's life: ready, judged invalid for the true reason, ended with everything that it started."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest
from support.target import SERVER, Make, invalid, processes_of
from support.wait import until

from orchestrator.checks.http import Client
from orchestrator.model import Workspace
from orchestrator.system.ports import free_port
from orchestrator.system.strays import end_strays
from orchestrator.targets.environ import target_environment


def test_a_server_is_ready_when_health_answers_anything(make: Make, run_id: str) -> None:
    """Even 503 is an answer; after stop nothing is left and its exit is known."""
    target = make("serve()")
    target.start()

    with pytest.raises(urllib.error.HTTPError, match="503"):
        urllib.request.urlopen(f"{target.url}/health", timeout=5)
    assert target.alive()
    assert target.stop() == -signal.SIGTERM
    assert processes_of(run_id) == []


def test_a_server_that_binds_late_is_waited_for(make: Make) -> None:
    """Start-up may take its budget."""
    target = make("import time\ntime.sleep(0.7)\nserve()")
    target.start()

    assert target.alive()


def test_a_stopped_server_starts_again_on_the_same_port(make: Make) -> None:
    """Restarts keep the URL."""
    target = make("serve()")
    for _ in range(3):
        target.start()
        target.kill()


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_server_that_does_not_reuse_addresses_starts_again(make: Make, version: str) -> None:
    """Neither our look at its health nor a check's request leaves its port in TIME_WAIT: it hangs up first, and the
    system would keep such a port from it for a minute."""
    target = make(f"""
        class Plain(Handler):
            protocol_version = {version!r}
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
        Server.allow_reuse_address = False
        serve(handler=Plain)""")
    for _ in range(3):
        target.start()
        for _ in range(5):
            assert Client(target.url).request("GET", "/").status == 200
        target.stop()


@pytest.mark.parametrize(("program", "reason", "words"), [
    ("import time\ntime.sleep(60)", "never-bound", "did not listen on port"),
    ("import socket\ns = socket.socket(socket.AF_INET6)\ns.bind(('::1', int(os.environ['PORT'])))\ns.listen()\n"
     "import time\ntime.sleep(60)", "never-bound", "on ::1 only"),
    ("serve(port=0)", "never-bound", "but must listen on the port that the variable PORT names"),
    ("import socket\ns = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\nimport time\ntime.sleep(60)",
     "never-bound", "got no HTTP answer"),
    ("print('no database')\nsys.exit(0)", "exited", "exit status 0"),
    ("os._exit(7)", "exited", "exit status 7"),
    ("import ctypes\nctypes.string_at(0)", "exited", "SIGSEGV"),
    ("os.kill(os.getpid(), 9)", "exited", "SIGKILL"),
    ("if os.fork():\n    os._exit(0)\nos.setsid()\nif os.fork():\n    os._exit(0)\nserve()", "daemonised",
     "background"),
])
def test_a_server_that_cannot_be_judged_is_invalid_for_the_true_reason(
    make: Make, run_id: str, program: str, reason: str, words: str
) -> None:
    """Each way of not being there has its own reason id and sentence, and leaves no process."""
    error = invalid(make(program, budget=3.0 if reason == "never-bound" else 20.0))

    assert error.reason == reason
    assert words in error.message
    assert processes_of(run_id) == []


def test_what_it_printed_is_in_the_error(make: Make) -> None:
    """The last lines help more than the status."""
    assert "no database" in invalid(make("print('no database \\x1b[2J')\nsys.exit(3)")).log
    assert "\x1b" not in invalid(make("print('no database \\x1b[2J')\nsys.exit(3)")).log


def test_a_missing_program_is_named_with_the_way_to_get_it(make: Make, tmp_path: Path) -> None:
    """Not a traceback, and not the server's fault."""
    target = make("serve()")
    target._workspace = Workspace(tmp_path, "lab", (), ("cargo-not-there",))

    assert invalid(target).reason == "toolchain-missing"


def test_a_port_that_another_program_has_is_our_fault(make: Make) -> None:
    """The learner did not choose the port."""
    target = make("serve()")
    with socket.create_server(("127.0.0.1", target.port)):
        error = invalid(target)

    assert error.reason == "port-taken-by-other"
    assert error.ours


def test_a_daemon_of_a_build_tool_that_was_there_before_is_named(make: Make, run_id: str) -> None:
    """`gradle bootRun` asks an idle daemon, which starts the server as its own child: no mistake of ours (gradle#2128)."""
    target = make("""
        import json
        if "serve" in sys.argv:
            serve()
        with open("asked.part", "w") as asked:
            json.dump(dict(os.environ), asked)
        os.rename("asked.part", "asked")
        time.sleep(60)
    """)
    daemon = textwrap.dedent("""
        import json, os, subprocess, sys, time
        print("idle", flush=True)
        while not os.path.exists("asked"):
            time.sleep(0.01)
        subprocess.run([sys.executable, "server.py", "serve"], env=json.load(open("asked")))
    """)
    with subprocess.Popen([sys.executable, "-c", daemon, "org.gradle.launcher.daemon.bootstrap.GradleDaemon"],
                          cwd=target._workspace.folder, stdout=subprocess.PIPE) as gradle:
        assert gradle.stdout is not None
        assert gradle.stdout.readline() == b"idle\n"
        error = invalid(target)
        left = processes_of(run_id)
        end_strays(run_id)

        assert error.reason == "daemonised"
        assert not error.ours
        assert error.message.startswith("Gradle's daemon runs your server")
        assert "gradle --no-daemon" in error.message
        assert gradle.wait(10) == 0  # its server is gone, it is not ended itself
    assert left == []


def test_who_answers_on_the_port_is_asked_again_at_the_end(make: Make) -> None:
    """A server that leaves its port to another program was not what was judged."""
    target = make("""
        server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
        server.handle_request()
        server.server_close()
        open("left", "w").close()
        time.sleep(60)
    """)
    target.start()
    until((target._workspace.folder / "left").exists)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", target.port))
        other.listen()
        assert not target.foreign
        target.stop(0)
    assert target.foreign


def test_a_server_that_kept_its_port_is_no_stranger(make: Make) -> None:
    """Neither while it runs nor after."""
    target = make("serve()")
    target.start()
    target.stop()
    assert not target.foreign


def test_a_server_that_ignores_sigterm_is_killed_after_its_grace(make: Make, run_id: str) -> None:
    """SIGKILL comes when the grace is over, not before and not much later."""
    target = make("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nserve()")
    target.start()
    began = time.monotonic()

    assert target.stop(grace=0.5) == -signal.SIGKILL
    assert 0.5 <= time.monotonic() - began < 4
    assert processes_of(run_id) == []


def test_daemons_of_a_running_server_end_with_it(make: Make, run_id: str) -> None:
    """A grandchild with its own session is found by the subreaper, where a process group is not enough."""
    target = make("if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        import time\n"
                  "        time.sleep(600)\n    os._exit(0)\nserve()")
    target.start()
    until(lambda: len(processes_of(run_id)) >= 3)
    target.kill()

    assert processes_of(run_id) == []


def test_a_flood_of_output_is_capped_and_blocks_nobody(make: Make) -> None:
    """Megabytes go by; the beginning and the end are kept."""
    target = make("import threading\ndef flood():\n    os.write(1, b'first line\\n')\n    for _ in range(400):\n"
                  "        os.write(1, b'x' * 100_000)\n    os.write(1, b'\\nlast line\\n')\n    serve()\nflood()")
    target.start()
    log = target.log(10_000)

    assert "first line" in log
    assert log.splitlines()[-1] == "last line"
    assert "bytes are left out" in log
    assert len(log) < 200_000


def test_a_path_with_spaces_quotes_and_accents_is_a_path(make: Make) -> None:
    """No shell ever sees it."""
    target = make("serve()", folder="mon $(rm) 'serveur' \"é\" 漢")
    target.start()

    assert target.alive()


def test_the_server_sees_only_what_is_allowed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of the person who runs labs stay theirs."""
    for name in ("AWS_SECRET_ACCESS_KEY", "LABS_HOME", "GITHUB_TOKEN", "PYTHONPATH", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "secret")
    environment = target_environment(port=1, run_id="r", services={"REDIS_URL": "u"}, extra={"DB_POOL_MAX": "8"})

    assert "secret" not in environment.values()
    assert environment["PATH"]
    assert (environment["PORT"], environment["REDIS_URL"], environment["DB_POOL_MAX"]) == ("1", "u", "8")


def test_when_labs_is_killed_the_server_ends(tmp_path: Path, run_id: str) -> None:
    """The keeper sees the end of its pipe, however `labs` ended."""
    (tmp_path / "server.py").write_text(SERVER + "serve()")
    program = textwrap.dedent(f"""
        import pathlib, sys, time
        from orchestrator.model import Workspace
        from orchestrator.workspace.budgets import Budget
        from orchestrator.targets.process import Target
        from orchestrator.targets.environ import target_environment
        port = {free_port()}
        folder = pathlib.Path({str(tmp_path)!r})
        target = Target(Workspace(folder, "lab", (), (sys.executable, "server.py")), port=port,
                        environment=target_environment(port=port, run_id={run_id!r}, services={{}}, extra={{}}),
                        run_id={run_id!r}, start_budget=Budget(10), scratch=folder / "scratch")
        target.start()
        print("ready", flush=True)
        time.sleep(600)
    """)
    labs = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert labs.stdout is not None
    assert labs.stdout.readline() == "ready\n"
    assert processes_of(run_id)
    labs.kill()
    labs.communicate()

    until(lambda: not processes_of(run_id), seconds=8)
