"""The calls of the child, answered: the target's life, and faults on its services, each healed in the end.

Answers come from several threads. One target is used by one thread at a time; whatever is begun here is undone by
``close``, however the conversation ended.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.engines.base import Engine
from orchestrator.environments.specs import node_names
from orchestrator.errors import LabsError
from orchestrator.judge.child import CallFailed
from orchestrator.judge.exploring import Exploring
from orchestrator.judge.recording import FAULTS, LIFE, fault_words
from orchestrator.judge.shared import SharedTarget
from orchestrator.judge.space import Space
from orchestrator.judge.starts import Starts
from orchestrator.report.timeline import Mark
from orchestrator.system.interrupt import NEVER, Cancel
from orchestrator.system.together import Together

if TYPE_CHECKING:
    from orchestrator.attach.target import AttachedTarget
    from orchestrator.faults.engine import KillFault, PauseFault, StopFault
    from orchestrator.faults.proxy import Proxy
    from orchestrator.targets.process import Target

DEFAULT_GRACE = 5.0
LONGEST_GRACE = 60.0
HEAL_BUDGET = 60.0
LOG_LINES = 40
HELD = ("this check ends your server and starts it again, or starts a second one; end labs run, then labs check does "
        "both")
"""What a check cannot do to a server that somebody else runs."""


@dataclass(frozen=True, slots=True)
class _Fault:
    kind: str
    service: str
    nodes: Sequence[int]
    """None: all of them."""
    heal: Callable[[], None]

    @property
    def said(self) -> str:
        """Which service, and which part of it."""
        return f"node {' and '.join(map(str, self.nodes))} of {self.service}" if self.nodes else self.service


class Calls:
    """Answers the calls of one attempt. ``close`` heals every fault and ends every replica; harmless twice.

    ``attached``: the target's life is not ours, so a check that asks for it cannot be judged.
    """

    def __init__(
        self, target: Target | AttachedTarget, make_replica: Callable[[str, Mapping[str, str]], Target], *,
        space: Space, proxy: Proxy, engine: Engine, attached: bool = False,
        lost: Callable[[float], float] = lambda _: 0.0,
    ) -> None:
        self._attached = attached
        self._starts = Starts()
        self._main = SharedTarget(target, self._starts)
        self._make_replica = make_replica
        self._space = space
        self._proxy = proxy
        self._engine = engine
        self._replicas: dict[str, SharedTarget] = {}
        self._faults: dict[str, _Fault] = {}
        self._frozen: set[str] = set()
        """Services that a check freezes, from before it begins until after it is healed."""
        self._numbers = itertools.count(1)
        self._table = threading.RLock()
        self.marks: list[Mark] = []
        """What was done to the target and the services, for the time line."""
        self.logs: tuple[str, Mapping[str, str]] | None = None
        """The last lines of the server's output, and of the services' logs, when the first check blamed the server."""
        self._closed = False
        self._idle = threading.Condition()
        self._running = 0
        self._exploring = Exploring(proxy, lambda: space.ears(), self.marks, self._crash)
        self._methods: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "server.restart": self._restart,
            "server.kill": self._kill,
            "server.stop": self._stop,
            "server.start": lambda _: self._main.start(),
            "server.replica": self._replica,
            "replica.ready": self._replicas_ready,
            "replica.stop": self._replica_stop,
            "server.log": lambda args: self._main.target.log(int(args.get("lines", LOG_LINES))),
            "check.failed": self._keep_logs,
            "machine.lost": lambda args: lost(float(args["seconds"])),
            "fault.begin": self._begin,
            "fault.heal": self._heal,
            "fault.cut": self._cut,
            "fault.connections": self._connections,
            "service.admin": self._admin,
            **self._exploring.methods,
        }

    def answer(self, call: str, args: Mapping[str, Any]) -> object:
        """The value of a call; ``CallFailed`` with the kind of failure that the check must see."""
        method = self._methods.get(call)
        if method is None:
            raise CallFailed("bug", "bug", f"there is no call {call!r}")
        if self._closed:
            raise CallFailed("bug", "bug", f"{call} came after the end")
        if self._attached and call in LIFE:
            raise CallFailed("unjudged", "attached", HELD)
        with self._idle:
            self._running += 1
        if LIFE.get(call):
            self.marks.append(Mark(time.time(), LIFE[call]))
        try:
            return method(args)
        except LabsError as error:
            raise CallFailed("lost", error.code, error.message) from error
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def freezes(self, service: str) -> bool:
        """Whether a check has frozen this service, or is about to."""
        return service in self._frozen

    def start_target(self, cancel: Cancel = NEVER) -> None:
        """Start the target for the first time. Raises ``TargetInvalid``, ``Cancelled``."""
        self._main.start_first(cancel)

    def slow_starts(self) -> float:
        """Seconds that the checks have waited so far for a server that is slow to start again."""
        return self._starts.slow()

    @property
    def target_wanted(self) -> bool:
        """Whether the target should be running, as far as the checks' own calls go."""
        return self._main.wanted

    def close(self, *, patience: float = HEAL_BUDGET) -> None:
        """Heal every fault, end every replica, let running calls end; wait up to ``patience`` seconds for that.

        The target is the caller's alone afterwards, running or not. A service that a fault left silent is marked, and
        recreated for the next attempt.
        """
        with self._table:
            self._closed = True
            faults, replicas = list(self._faults), list(self._replicas)
        self._exploring.close()
        self._main.end()
        for name in replicas:
            # Forgotten only when it is gone: an interruption in between comes back to it.
            server = self._replicas.get(name)
            if server is not None:
                server.end()
                server.target.close()
                self._proxy.drop(name)
                self._replicas.pop(name, None)

        def heal_all(_: None) -> None:
            for number in reversed(faults):
                with contextlib.suppress(CallFailed, LabsError):
                    self._heal({"fault": number})

        end = time.monotonic() + patience
        healing = Together(heal_all, [None])
        healing.start()
        healing.settle(patience)
        with self._idle:
            self._idle.wait_for(lambda: self._running == 0, max(0.0, end - time.monotonic()))

    # --- the target ------------------------------------------------------------------------------------------

    def _restart(self, args: Mapping[str, Any]) -> None:
        with self._main.turn():
            self._main.stop(_grace(args))
            self._let_go()
            self._main.start()

    def _kill(self, _: Mapping[str, Any]) -> None:
        with self._main.turn():
            self._main.kill()
            self._let_go()
            self._main.start()

    def _crash(self, gone: Callable[[], None]) -> None:
        """SIGKILL, then ``gone``, and start again: on services that have noticed."""
        with self._main.turn():
            self._main.kill()
            gone()
            self._let_go()
            self._main.start()

    def _let_go(self) -> None:
        """What the ended server had under way is over in all services, also where that takes them a while."""
        for name in self._space.begun():
            if (seat := self._space.seat(name)) is not None:
                seat.let_go()

    def _stop(self, args: Mapping[str, Any]) -> object:
        status = self._main.stop(_grace(args))
        self._let_go()
        return {"status": status}

    def _replica(self, args: Mapping[str, Any]) -> object:
        with self._table:
            name = f"replica-{next(self._numbers)}"
        target = self._make_replica(name, args.get("env", {}))
        server = SharedTarget(target, self._starts)
        with self._table:
            closed = self._closed
            self._replicas[name] = server
        if closed:  # the end came while the replica was made: nobody else would end it
            target.close()
            self._proxy.drop(name)
            raise CallFailed("bug", "bug", "a replica came after the end")
        if args.get("wait", True):
            server.start()
        else:
            server.start_beside()
        return {"replica": name, "url": target.url}

    def _replicas_ready(self, _: Mapping[str, Any]) -> None:
        with self._table:
            servers = list(self._replicas.values())
        for server in servers:
            server.ready()

    def _replica_stop(self, args: Mapping[str, Any]) -> object:
        with self._table:
            server = self._replicas.pop(str(args.get("replica")), None)
        if server is None:
            raise CallFailed("bug", "bug", f"there is no replica {args.get('replica')!r}")
        status = server.stop(_grace(args))
        server.target.close()
        self._proxy.drop(str(args["replica"]))
        return {"status": status}

    def _keep_logs(self, _: Mapping[str, Any]) -> None:
        """Now: later checks write over them, and the output of a server that is started again begins anew."""
        if self.logs is None:
            self.logs = self._main.target.log(LOG_LINES), self._space.logs()

    # --- faults ----------------------------------------------------------------------------------------------

    def _begin(self, args: Mapping[str, Any]) -> object:
        service, kind, nodes = self._service(args), args.get("kind"), _nodes(args)
        if kind not in FAULTS:
            raise CallFailed("bug", "bug", f"there is no fault {kind!r}")
        with self._table:
            if self._closed:
                raise CallFailed("bug", "bug", "a fault came after the end")
            if any((fault.kind, fault.service) == (kind, service) for fault in self._faults.values()):
                raise CallFailed("bug", "bug", f"{service} is under the fault {kind!r} already")
            number = f"fault-{next(self._numbers)}"
            begin, heal = self._fault(kind, service, nodes)
            # Noted before it begins: an end in the middle must find it. Healing what has not begun is harmless.
            self._faults[number] = fault = _Fault(kind, service, nodes, heal)
        self.marks.append(Mark(time.time(), fault_words(kind, fault.said, healed=False)))
        begin()
        return {"fault": number}

    def _fault(self, kind: str, service: str, nodes: Sequence[int]) -> tuple[Callable[[], None], Callable[[], None]]:
        """What begins a fault and what heals it. ``nodes``: of the service's; none means all."""
        if kind == "down":
            return lambda: self._proxy.down(service), lambda: self._proxy.up(service)
        if kind == "shut":
            return lambda: self._proxy.shut(service), lambda: self._proxy.up(service)
        if kind == "hold":
            return lambda: self._proxy.hold(service), lambda: self._proxy.release(service)
        from orchestrator.faults.engine import KillFault, PauseFault, StopFault

        seat = self._space.seat(service)
        assert seat is not None
        if seat.is_file:
            raise CallFailed("unjudged", "no-process", f"{seat.recipe.title} is a file: it cannot be stopped")
        self._space.wake(service)
        makers: dict[str, type[StopFault | PauseFault | KillFault]] = {
            "stop": StopFault, "pause": PauseFault, "kill": KillFault,
        }
        names = node_names(seat.spec)
        if nodes and not 1 <= nodes[0] <= nodes[-1] <= len(names):
            raise CallFailed("bug", "bug", f"{service} has no node {nodes[-1] if nodes[0] > 0 else nodes[0]}")
        # It answers again when the last one is back.
        *others, last = [names[node - 1] for node in nodes] or names
        faults = [*(makers[kind](self._engine, name, lambda: None) for name in others),
                  makers[kind](self._engine, last, lambda: self._space.wait_ready(service))]

        def begin() -> None:
            seat.hurt = seat.hurt or kind == "kill"
            if kind == "pause":
                self._frozen.add(service)
            for fault in faults:
                fault.begin()

        def heal() -> None:
            try:
                for fault in faults:
                    fault.heal()
                self._frozen.discard(service)
                self._space.restarted_by_us(service)
            except (LabsError, ConnectionError):
                seat.hurt = True
                raise

        return begin, heal

    def _heal(self, args: Mapping[str, Any]) -> None:
        number = str(args.get("fault"))
        with self._table:
            fault = self._faults.pop(number, None)
        if fault is None:
            raise CallFailed("bug", "bug", f"there is no fault {number!r}")
        try:
            fault.heal()
            self.marks.append(Mark(time.time(), fault_words(fault.kind, fault.said, healed=True)))
        except ConnectionError as error:
            raise CallFailed("lost", "service-lost", f"{fault.service} did not come back: {error}") from error

    def _cut(self, args: Mapping[str, Any]) -> object:
        service = self._service(args)
        self.marks.append(Mark(time.time(), f"all connections to {service} are cut"))
        return {"count": self._proxy.cut(service)}

    def _connections(self, args: Mapping[str, Any]) -> object:
        service = self._service(args)
        return {"open": self._proxy.open_connections(service), "opened": self._proxy.opened(service)}

    def _admin(self, args: Mapping[str, Any]) -> object:
        """What the evidence reader of a service gets that slept when the checks began."""
        service = self._service(args)
        self._space.wake(service)
        return dict(self._space.admin_of(service))

    def _service(self, args: Mapping[str, Any]) -> str:
        service = str(args.get("service"))
        if self._space.seat(service) is None:
            raise CallFailed("unjudged", "no-service", f"the judge space has no service {service!r}")
        return service


def _nodes(args: Mapping[str, Any]) -> Sequence[int]:
    """The nodes that a fault is for, in their order."""
    value = args.get("nodes", [])
    if not isinstance(value, list) or any(not isinstance(one, int) or isinstance(one, bool) for one in value):
        raise CallFailed("bug", "bug", f"these are no nodes: {value!r}")
    return sorted(set(value))


def _grace(args: Mapping[str, Any]) -> float:
    """Seconds between SIGTERM and SIGKILL that a check asks for, within reason."""
    value = args.get("grace", DEFAULT_GRACE)
    good = isinstance(value, int | float) and not isinstance(value, bool)
    return min(max(float(value), 0.0), LONGEST_GRACE) if good else DEFAULT_GRACE
