"""What a killed PostgreSQL leaves to the system, and what only looks like it."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pytest
from support.embedded import segments_of

from orchestrator.services.base import LastRun
from orchestrator.services.postgres.postmaster import release_shared_memory


@pytest.mark.skipif(sys.platform != "linux", reason="the tables of /proc show whose memory it is")
def test_shared_memory_of_somebody_else_is_left(tmp_path: Path) -> None:
    """The file is the service's own and may say anything."""
    libc = ctypes.CDLL(None)
    segment = libc.shmget(0, ctypes.c_size_t(56), 0o600)
    run = LastRun(os.getpid(), this_boot=True)
    try:
        for pid, key, last in ((os.getpid() + 1, 0, run), (os.getpid(), 1, run), (os.getpid(), 0, None),
                               (os.getpid(), 0, LastRun(os.getpid(), this_boot=False))):
            write_postmaster(tmp_path, pid, key, segment)
            release_shared_memory(tmp_path, last)
            assert segments_of(os.getpid()) == [segment]

        write_postmaster(tmp_path, os.getpid(), 0, segment)
        release_shared_memory(tmp_path, run)
        assert segments_of(os.getpid()) == []
    finally:
        libc.shmctl(segment, 0, None)


@pytest.mark.parametrize("text", ["", "17\n", "x\n" * 7, "1\n/d\n0\n1\n\n*\n0 x\n"])
def test_a_damaged_postmaster_file_says_nothing(tmp_path: Path, text: str) -> None:
    """Nothing is released, nothing is raised."""
    (tmp_path / "postmaster.pid").write_text(text)

    release_shared_memory(tmp_path, LastRun(1, this_boot=True))


def write_postmaster(data: Path, pid: int, key: int, segment: int) -> None:
    (data / "postmaster.pid").write_text(f"{pid}\n{data}\n1700000000\n5432\n\n127.0.0.1\n{key:9} {segment:9}\nready   \n")
