"""`labs watch` as a person uses it: in a terminal, in a pipe, and with a folder that things are done to."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest
from support.cli import COMMAND, Labs
from support.wait import until
from support.workspace import make_workspace

from orchestrator.engines.choose import choose
from orchestrator.ownership.warm_spaces import spaces
from orchestrator.system.home import find_home, installation_id, user_id

pytestmark = [pytest.mark.e2e, pytest.mark.engine("embedded")]

VERDICT = r"from the save to the verdict"


@pytest.fixture
def server(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "server")


@pytest.fixture
def clean(labs: Labs, server: Path) -> Iterator[None]:
    """Nothing of a watch is left, without another command, but services that the next one takes over.

    What tests before it left, a failed space, stays.
    """
    before = traces(labs)
    yield
    assert traces(labs) <= before
    assert processes_in(server) == []


def traces(labs: Labs) -> set[str]:
    """What the installation has now beside warm spaces: instances, leases, folders of runs."""
    home = find_home(labs.environment)
    warm = {space.environment for space in spaces(home)}
    choice = choose(labs.engine, home=home)
    try:
        instances = choice.engine.list(user=user_id(), installation=installation_id(home))
    finally:
        choice.engine.close()
    files = (*home.leases.glob("*.json"), *home.runs.glob("*"))
    return {one.spec.name for one in instances if one.spec.owner.environment not in warm} | {str(file) for file in files}


def processes_in(folder: Path) -> list[int]:
    """Living processes whose current folder is this one or below."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:
            continue
    return found


def edit(server: Path, text: str) -> None:
    """Add a line to the server's source."""
    with (server / "server.py").open("a") as file:
        file.write(f"{text}\n")


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(("columns", "extra"), [
    (100, {}), (40, {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})])
def test_two_saves_in_a_terminal(labs: Labs, server: Path, columns: int, extra: dict[str, str]) -> None:
    """A verdict at once, one for each save; keys; a resize; q ends with 0 and gives the terminal back."""
    environment = {**labs.environment, "TERM": "xterm", **extra}
    screen = pexpect.spawn(COMMAND[0], [*COMMAND[1:], "watch"], cwd=str(server), env=environment, timeout=90,
                           dimensions=(50, columns), encoding="utf-8", codec_errors="strict")
    log = screen.logfile_read = io.StringIO()
    try:
        screen.expect("schema-missing-table")
        screen.expect("waiting for a save")
        for line in ("# first", 'print("a line in the log")'):
            edit(server, line)
            # Only a picture of a run has this word: what is matched is no older picture.
            screen.expect("judging")
            screen.expect(VERDICT)
            screen.expect("waiting for a save")
        screen.send("h")
        screen.expect("hint 1 of")
        screen.send("t")
        screen.expect("What belongs to")
        screen.send("l")
        screen.expect("your server's output")
        screen.setwinsize(20, 30)
        screen.expect("q quit")
        screen.send("q")
        screen.expect(pexpect.EOF)
    except pexpect.TIMEOUT:
        pytest.fail(log.getvalue()[-6000:])  # what pexpect says of it ends after a hundred characters
    finally:
        screen.close(force=True)

    assert screen.exitstatus == 0, log.getvalue()
    assert "Traceback" not in log.getvalue()
    if extra:
        assert log.getvalue().isascii()
    for seconds in sorted(set(re.findall(r"([\d.]+) s from the save", log.getvalue()))):
        print(f"from a save to the verdict: {seconds} s")


class Piped:
    """A watch whose output goes into pipes."""

    def __init__(self, labs: Labs, server: Path, *options: str) -> None:
        self.process = labs.popen("watch", *options, cwd=server)
        self.lines: list[str] = []
        self.readers = [threading.Thread(target=self._read, args=(stream,), daemon=True)
                         for stream in (self.process.stdout, self.process.stderr)]
        for reader in self.readers:
            reader.start()

    def _read(self, stream: io.TextIOWrapper) -> None:
        self.lines.extend(line.rstrip("\n") for line in stream)

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def waits(self, times: int) -> None:
        """Until it has waited for a save so many times."""
        until(lambda: self.lines.count("waiting for a save") >= times or self.process.poll() is not None, seconds=90)
        assert self.process.poll() is None, self.text

    def ended(self) -> int:
        code = self.process.wait(30)
        for reader in self.readers:
            reader.join(5)
        return code


@pytest.fixture
def watch(labs: Labs, server: Path) -> Iterator[Callable[..., Piped]]:
    made: list[Piped] = []

    def start(*options: str) -> Piped:
        made.append(Piped(labs, server, *options))
        return made[-1]

    yield start
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait()
        for reader in one.readers:
            reader.join(5)
        for stream in (one.process.stdout, one.process.stderr):
            assert stream is not None
            stream.close()


@pytest.mark.usefixtures("clean")
def test_a_pipe_gets_plain_lines_until_sigterm(labs: Labs, server: Path, watch: Callable[..., Piped]) -> None:
    """No control character, one verdict a save; what is not a change is not judged; a second watch is told who watches."""
    piped = watch()
    piped.waits(1)
    (server / "server.py").touch()
    edit(server, "# a change")
    piped.waits(2)
    second = labs.run("watch", cwd=server)
    beside = replace(labs, extra={"CI": "true"}).run("check", cwd=server)  # in CI a failed space is not kept
    assert beside.returncode == 1, "a check may run beside it"
    piped.process.send_signal(signal.SIGTERM)

    assert piped.ended() == 130
    assert piped.text.count("FAIL      postgres/schema") == 2, piped.text
    assert piped.text.count(VERDICT) == 1
    assert all(line.isprintable() for line in piped.lines)
    assert second.returncode == 3
    assert f"labs (pid {piped.process.pid}" in second.stderr
    assert "is watching this folder already" in second.stderr
    labs.ok("status")  # the scratch folder of a check goes with the next command


@pytest.mark.usefixtures("clean")
def test_a_save_in_the_middle_of_a_run_starts_it_over(server: Path, watch: Callable[..., Piped]) -> None:
    """The run that judged the old content gives no verdict; the one after it does, of the new content."""
    piped = watch()
    piped.waits(1)
    edit(server, "# slow\nimport time")
    text = (server / "server.py").read_text()
    (server / "server.py").write_text(f"import time\ntime.sleep(3)\n{text}")
    until(lambda: processes_in(server), seconds=30)
    edit(server, "# in the middle")
    (server / "server.py").write_text(text.replace("import http.server", "raise SystemExit('not today')\nimport http.server"))
    piped.waits(2)
    piped.process.send_signal(signal.SIGINT)

    assert piped.ended() == 130
    assert piped.text.count("FAIL      postgres/schema") == 1, piped.text
    assert "INVALID   postgres/schema" in piped.text
    assert "not today" in piped.text


@pytest.mark.usefixtures("clean")
def test_a_folder_that_is_broken_and_mended_and_goes_away(server: Path, watch: Callable[..., Piped]) -> None:
    """workspace.toml broken: said, tried again at the next save. The folder removed: one line, exit 3."""
    (server / ".labs").write_text("a file where a folder must be: nothing can be remembered")
    piped = watch()
    piped.waits(1)
    good = (server / "workspace.toml").read_text()
    (server / "workspace.toml").write_text("format = ")
    piped.waits(2)
    assert "workspace.toml has a problem" in piped.text
    (server / "workspace.toml").write_text(good)
    piped.waits(3)
    (server / "workspace.toml").write_text(f'{good}build = ["sh", "-c", "echo no luck; exit 3"]\n')
    piped.waits(4)
    assert "no luck" in piped.text
    subprocess.run(["rm", "-r", str(server)], check=True)

    assert piped.ended() == 3
    assert piped.text.count("is not remembered") == 1
    assert piped.text.count("FAIL      postgres/schema") == 2
    assert [line for line in piped.lines if "not there any more" in line] != []


@pytest.mark.usefixtures("clean")
def test_a_server_that_writes_into_its_own_folder_gets_a_verdict(server: Path, watch: Callable[..., Piped]) -> None:
    """A log beside the source changes at every start; that does not end runs for ever."""
    text = (server / "server.py").read_text()
    (server / "server.py").write_text(f"import time\nopen('server.out', 'a').write(f'{{time.time()}}\\n')\n{text}")
    piped = watch()
    until(lambda: "server.out changes while your server runs" in piped.text, seconds=90)
    until(lambda: "FAIL      postgres/schema" in piped.text, seconds=90)
    judged = piped.text.count("judging")
    time.sleep(3)  # nothing must start by itself

    assert piped.text.count("judging") == judged
    piped.process.send_signal(signal.SIGINT)
    assert piped.ended() == 130
