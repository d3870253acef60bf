"""`python bench/links.py`: what the process in front of a service costs: a round trip's time, memory of connections.

Beside a bare connection to the same server, in one run. Nothing is asserted; needs no engine.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from orchestrator.faults import relay
from orchestrator.faults.record import Breakage, LastingFault

ROUNDS, TRIPS, MANY = 5, 2000, 2000


def main() -> int:
    """Print every figure with its target."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory(prefix="labs-bench-") as folder, socket.create_server(
            ("127.0.0.1", 0), backlog=MANY) as server:
        threading.Thread(target=answer_all, args=(server,), daemon=True).start()
        path, port = Path(folder) / "links.json", server.getsockname()[1]
        with socket.create_server(("127.0.0.1", 0)) as free:
            listen = free.getsockname()[1]
        broken = relay.begin(path, Breakage("bench", "bench"), "store", {"": listen}, {"": port})
        try:
            pid = broken.relays[0].pid
            before = cpu(pid)
            bare, behind = zip(*((trip(port), trip(listen)) for _ in range(ROUNDS)), strict=True)
            more = statistics.median(behind) - statistics.median(bare)
            figure("round trip, bare connection, microseconds", statistics.median(bare), "")
            figure("round trip through the link, microseconds more", more, "<= 100")
            figure("the quickest of each, microseconds more", min(behind) - min(bare), "")
            figure("CPU of the process for a round trip, microseconds",
                   (cpu(pid) - before) / (ROUNDS * TRIPS) * 1e6, "")
            figure("memory of the process, MB", memory(pid), "")
            held = [socket.create_connection(("127.0.0.1", listen)) for _ in range(MANY)]
            for one in held:
                one.sendall(b"x")
                one.recv(1)
            figure(f"the same with {MANY} connections, MB", memory(pid), "<= 50")
            late = {"ms": 60_000.0, "jitter": 0.0}
            slow = LastingFault("1", "store", "latency", "upstream", late, 0.0, os.getpid(), done=True)
            broken = broken.with_fault(slow)
            relay.record.write(path, broken)
            began = time.monotonic()
            relay.ask(broken.relays[0])
            figure(f"a fault on {MANY} open connections, seconds", time.monotonic() - began, "")
            for one in held:
                one.sendall(b"x" * 1000)
            relay.ask(broken.relays[0])
            figure(f"{MANY} connections under latency, MB", memory(pid), "<= 50")
            before = cpu(pid)
            time.sleep(5)
            figure("CPU of one core while nothing passes, percent", (cpu(pid) - before) / 5 * 100, "")
        finally:
            relay.end(broken.relays[0])
    return 0


def figure(name: str, value: float, target: str) -> None:
    print(f"{name:<60} {value:8.2f}   {target}", flush=True)


def trip(port: int) -> float:
    """The median of many round trips of a small message."""
    times = []
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(TRIPS):
            began = time.perf_counter()
            one.sendall(b"x")
            one.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def memory(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ValueError(json.dumps({"pid": pid}))


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answer_all(server: socket.socket) -> None:
    """An echo for any number of connections, in one thread."""
    import selectors

    waiting = selectors.DefaultSelector()
    waiting.register(server, selectors.EVENT_READ)
    while True:
        for key, _ in waiting.select():
            one = key.fileobj
            assert isinstance(one, socket.socket)
            if one is server:
                client, _ = server.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                waiting.register(client, selectors.EVENT_READ)
            elif data := one.recv(65536):
                one.sendall(data)
            else:
                waiting.unregister(one)
                one.close()


if __name__ == "__main__":
    sys.exit(main())
