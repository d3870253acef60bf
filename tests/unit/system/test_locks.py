"""Locks: held against threads and processes alike, waited for, never in a folder that is gone."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.system.locks import locked, try_lock, wait_lock


@pytest.fixture(params=["local", "nfs"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where folders are. NFS refuses an exclusive lock on what is not open for writing, as fcntl's locks do."""
    flock = fcntl.flock

    def as_nfs_does(descriptor: int, how: int) -> None:
        if how & fcntl.LOCK_EX and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(descriptor, how)

    if request.param == "nfs":
        monkeypatch.setattr(fcntl, "flock", as_nfs_does)
    return str(request.param)


@pytest.mark.usefixtures("disk")
def test_the_lock_holds_threads_apart_and_sees_a_removed_folder(tmp_path: Path) -> None:
    """Who waited for a folder that its holder removed is told so, instead of working in a ghost."""
    path = tmp_path / "x"
    path.mkdir()
    answers: list[str] = []

    def wait() -> None:
        try:
            with locked(path):
                answers.append("held")
        except FileNotFoundError:
            answers.append("gone")

    with locked(path):
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.1)
        assert answers == []
        path.rmdir()
    thread.join(10)

    assert answers == ["gone"]


@pytest.mark.usefixtures("disk")
def test_readers_share_a_lock_that_a_writer_waits_for(tmp_path: Path) -> None:
    """Two readers at once, and a writer after both."""
    path = tmp_path / "x"
    path.mkdir()
    wrote = threading.Event()

    def write() -> None:
        with locked(path):
            wrote.set()

    with locked(path, shared=True), locked(path, shared=True):
        thread = threading.Thread(target=write)
        thread.start()
        assert not wrote.wait(0.1)
    thread.join(10)

    assert wrote.is_set()


def test_a_lock_ends_with_the_process_that_held_it(tmp_path: Path) -> None:
    """However it ended: nobody has to clean up after a SIGKILL."""
    path = tmp_path / "x.lock"
    holder = subprocess.Popen([sys.executable, "-c", (
        "import fcntl, sys\nfile = open(sys.argv[1], 'a')\nfcntl.flock(file, fcntl.LOCK_EX)\nprint('held', flush=True)\n"
        "sys.stdin.read()"), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with path.open("a") as file:
        assert not try_lock(file.fileno())
        holder.kill()
        holder.communicate()

        assert wait_lock(file.fileno(), until=time.monotonic() + 10)


def test_a_wait_for_a_lock_ends_in_time_and_when_its_run_ends(tmp_path: Path) -> None:
    """Between two tries it looks whether it is still wanted."""
    class Ended(Exception):
        pass

    def look() -> None:
        raise Ended

    one, other = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    try:
        assert try_lock(one)
        assert not wait_lock(other, until=time.monotonic() + 0.1)
        with pytest.raises(Ended):
            wait_lock(other, until=time.monotonic() + 10, look=look)
    finally:
        os.close(one)
        os.close(other)
