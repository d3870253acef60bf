"""A server that a program started which was there before: a build tool's daemon, idle since an earlier build.

`gradle bootRun` asks such a daemon, which starts the server with the environment of who asked: it carries the run's id,
and is not below the run's keeper.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection

from orchestrator.system.listeners import owned_by
from orchestrator.system.strays import end_strays, strays

DAEMONS = {"GradleDaemon": "Gradle's daemon", "org.mvndaemon": "Maven's daemon"}
"""What stands in a daemon's command line, and what it is called."""


def serving_daemon(port: int, run_id: str, own: Collection[int]) -> str:
    """Who runs the server of this run in place of its own processes; ``""``: nobody. That server is then ended."""
    import psutil

    servers = {process.pid: process for process in strays(run_id) if process.pid not in own}
    if not servers or not owned_by(port, servers):
        return ""
    name = ""
    with contextlib.suppress(psutil.Error):
        above = [one for process in servers.values() for one in process.parents() if one.pid not in servers]
        known = (called for one in above for mark, called in DAEMONS.items() if mark in " ".join(one.cmdline()))
        name = next(known, "")
    end_strays(run_id)
    return name or "a program that was there before"
