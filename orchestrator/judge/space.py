"""The judge space: private instances of a lab's services, fresh for every attempt, gone after the run.

Each stands behind the proxy, which is the only address that the target is given; evidence is read straight from the
service. What is judged needs some of the lab's services: these are started, side by side. The others sleep: their
links are open, and the first connection of the target to one wakes it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator import services
from orchestrator.engines.base import Engine
from orchestrator.environments.execute import Progress
from orchestrator.environments.life import Life
from orchestrator.environments.specs import Ports, first_name
from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.judge.postmortem import Unfit, examine
from orchestrator.judge.recording import Recorders
from orchestrator.judge.seat import LOG_LINES, Marks, Seat, Tools
from orchestrator.model import Endpoint, Instance, InstanceSpec, Owner, Product, Verdict
from orchestrator.services.base import Emptying, Overhearing, Recipe, Recordable
from orchestrator.system.together import Together

if TYPE_CHECKING:
    from orchestrator.faults.proxy import Proxy
    from orchestrator.faults.steps import MakeEar

CLOSE_BUDGET = 2.5
"""Seconds in which work that still runs must notice that the space is closed."""


@dataclass(frozen=True, slots=True)
class InVain:
    """A service that the target asked for and that cannot be had here; ``advice`` is what would help."""

    service: str
    verdict: Verdict
    reason: str
    message: str
    advice: str = ""


class Space:
    """The services of one run. Made with ``begin`` and ``opened``; ``close`` removes everything, in any state.

    ``missing``: services that cannot run here, with what would help. ``allow`` may refuse to have one started.
    """

    def __init__(self, engine: Engine, recipes: Sequence[Recipe], *, lab: str, owner: Owner, proxy: Proxy,
                 missing: Mapping[str, str] | None = None, allow: Callable[[Recipe], None] = lambda _: None) -> None:
        self._engine = engine
        self._proxy = proxy
        self._work: list[Together[Seat]] = []
        self._opening: list[Together[Seat]] = []
        self._closing = threading.Event()
        self._prepared = False
        self._recorders: Recorders | None = None
        self._woken: set[str] = set()
        self._knocked: set[str] = set()
        self._knocking = threading.Lock()
        life = Life(engine, {recipe.name: recipe for recipe in recipes}, user=owner.user,
                    installation=owner.installation)
        tools = Tools(engine, proxy, life, Ports(), self._stop_if_closing, allow)
        self._seats = {
            recipe.name: Seat(recipe, InstanceSpec(
                service=recipe.name, name=first_name(owner.environment, recipe.name), name_given="", lab=lab,
                owner=owner, credentials=recipe.credentials(), port=0, keep_data=False, config="judge",
            ), tools, missing=(missing or {}).get(recipe.name, ""))
            for recipe in recipes
        }

    # --- life ------------------------------------------------------------------------------------------------

    def begin(self, needed: Collection[str] | None = None) -> None:
        """Open all links, start the services that are needed (by itself all), side by side, and return at once."""
        self._open_links()
        self.need(self._seats if needed is None else needed, prepare=False)

    def adopt(self, instances: Iterable[Instance]) -> None:
        """Begin with services that run already, of a space that was kept; the others sleep."""
        specs = sorted((one.spec for one in instances), key=lambda spec: spec.node)
        taken = [seat for name, seat in self._seats.items() if any(spec.service == name for spec in specs)]
        for seat in taken:
            seat.nodes = tuple(spec for spec in specs if spec.service == seat.recipe.name)
        self._open_links()
        for seat in taken:
            seat.take_over()
        self._opening.append(self._begin(lambda seat: seat.know(), taken))
        self.need((), prepare=False)

    def need(self, needed: Collection[str], *, prepare: bool = True) -> None:
        """From now on these must be there: start those that sleep, and return at once. See ``opened``."""
        new = []
        for seat in self._seats.values():
            if not seat.wanted:
                seat.trouble = None  # of an earlier run; what is wanted already is tried again by ``fresh``
                seat.wanted = (seat.recipe.name in needed or seat.is_file) and not seat.missing
                if seat.wanted and not seat.awake:
                    new.append(seat)
        if new:
            self._opening.append(self._begin(lambda seat: self._rouse(seat, prepare=prepare), new))

    def opened(self) -> None:
        """Wait until all that is needed is ready. Raises the first ``EnvironmentFault``."""
        opening, self._opening = self._opening, []
        for job in opening:
            job.wait()

    def fresh(self) -> None:
        """Empty every service, heal every link, set every count to zero; recreate what is hurt or silent.

        Only while no target runs. Raises ``EnvironmentFault`` when a service cannot be had even anew. Who sleeps,
        sleeps on.
        """
        self._heal_links()
        prepared, self._prepared = self._prepared, False

        def renew(seat: Seat) -> None:
            with seat.lock:
                seat.asked = False
                if seat.awake and prepared:
                    seat.reuse()
                elif seat.awake or seat.wanted:
                    seat.renew()

        self._together(renew)
        self._forget()

    def settle(self) -> None:
        """What is in the services now was put there by the server at its start: ``clear`` leaves it."""
        self._together(lambda seat: self._awake_only(seat, seat.note_contents))

    def clear(self) -> None:
        """Empty every service under a running server, heal every link, set every count to zero.

        Raises ``EnvironmentFault`` where that cannot be done; a service that was recreated would lack the server's
        tables.
        """
        self._heal_links()
        self._together(lambda seat: self._awake_only(seat, seat.clear))
        self._forget()

    def prepare(self) -> None:
        """Do the work of the next ``fresh`` now. Only while no target runs, and none may run before it."""
        self.fresh()
        self._prepared = True

    def close(self) -> None:
        """Remove every instance with its data, whatever state it is in and whatever still works on it."""
        self._closing.set()
        unsettled = any(not job.settle(0.0) for job in self._work)
        self._remove_all()
        if unsettled:
            self._settle()
            # What was being created during the first removal is there only now.
            self._remove_all()

    def marks(self) -> dict[str, Marks]:
        """By which the services that are awake and sound are known again, of those that can be emptied."""
        found: dict[str, Marks] = {}

        def mark(seat: Seat) -> None:
            if not seat.is_file and isinstance(seat.recipe, Emptying) and (one := seat.marks()) is not None:
                found[seat.recipe.name] = one

        self._together(lambda seat: self._awake_only(seat, lambda: mark(seat)))
        return found

    def leave(self) -> dict[str, Marks]:
        """As ``let_go``, of what is sound; the rest is removed. By which it is known again."""
        self._settle()
        sound = self.marks()
        self._seats = {name: seat for name, seat in self._seats.items() if name not in sound}
        self._remove_all()
        self._seats = {}
        return sound

    def let_go(self) -> None:
        """The instances are somebody else's from now on: ``close`` leaves them as they are."""
        self._settle()
        self._seats = {}

    # --- what others need of it ------------------------------------------------------------------------------

    @property
    def products(self) -> dict[str, Product]:
        """What really runs, as the services themselves say."""
        return {name: seat.product for name, seat in self._seats.items() if seat.product is not None}

    @property
    def woken(self) -> frozenset[str]:
        """Services that were woken by the target since ``fresh`` or ``clear``: it may not have been patient enough."""
        with self._knocking:
            return frozenset(self._woken)

    def begun(self) -> frozenset[str]:
        """Services that are awake, or will be in a moment."""
        return frozenset(name for name, seat in self._seats.items() if seat.awake or seat.wanted)

    def seat(self, service: str) -> Seat | None:
        """One service, or ``None`` if this space has none of that name that can be had."""
        seat = self._seats.get(service)
        return None if seat is None or seat.missing else seat

    def wake(self, service: str) -> None:
        """Have it there now, for a check that asks for it. Raises ``EnvironmentFault``."""
        self._rouse(self._seats[service], prepare=True)

    def environment(self, server: str = "", addresses: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a server gets: ``DATABASE_URL`` and the like, all through the proxy, of sleeping services, too.

        ``server``: a replica, whose own links are made here; ``Proxy.drop`` closes them. ``addresses``: see ``roles``.
        """
        links = self._proxy.branch(server) if server else {}
        return services.variables((
            (seat.recipe, _whole(links.get(name, seen), like=seen), seat.spec.credentials)
            for name, seat in self._seats.items() if (seen := seat.seen) is not None), addresses)

    def ears(self) -> dict[str, MakeEar]:
        """What can read a service's protocol as it passes the proxy, of the services whose recipes offer it."""
        return {name: seat.recipe.ears() for name, seat in self._seats.items() if isinstance(seat.recipe, Overhearing)}

    def admin(self) -> dict[str, Mapping[str, object]]:
        """What the checks' evidence readers get, straight to the services that are awake."""
        return {name: self.admin_of(name) for name, seat in self._seats.items() if seat.awake}

    def admin_of(self, service: str) -> Mapping[str, object]:
        """The same for one service."""
        seat = self._seats[service]
        return seat.recipe.admin(seat.endpoint, seat.spec.credentials)

    def logs(self, lines: int = LOG_LINES) -> dict[str, str]:
        """The last lines that each service wrote."""
        return {name: seat.log(lines) for name, seat in self._seats.items() if seat.awake or seat.trouble}

    def client_advice(self, said: str) -> str:
        """The first advice that a service has for a server that was found wrong and ``said`` this; else ``""``."""
        awake = [seat for seat in self._seats.values() if seat.awake]
        return next((advice for seat in awake if (advice := seat.client_advice(said))), "")

    def record(self) -> Recorders:
        """Begin to record what the learner's role does in every service. Only while no target runs.

        Of a service that wakes later it is recorded from then on.
        """
        recorders = self._recorders = Recorders()
        self._together(lambda seat: self._awake_only(seat, lambda: _record(seat, recorders)))
        return recorders

    def examine(self) -> Unfit | None:
        """The post-mortem of all services that are awake: the first thing that makes one unfit as a witness."""
        try:
            self._heal_links()
        except EnvironmentFault as error:
            return Unfit("proxy", error.code, error.message)
        unfit: dict[str, Unfit] = {}

        def look(seat: Seat) -> None:
            found = examine(self._engine, seat.recipe, seat.spec, seat.incarnation, seat.seen or seat.endpoint)
            if found is not None:
                unfit[seat.spec.service] = found

        self._together(lambda seat: self._awake_only(seat, lambda: look(seat)))
        for name, found in unfit.items():
            self._seats[name].hurt = True
            return found
        return None

    def in_vain(self, log: str) -> InVain | None:
        """The first service, or part of one, that the target asked for and that could not be had; it is not its fault.

        ``log``: what the target printed.
        """
        for name, seat in self._seats.items():
            with seat.lock:  # somebody may still try to wake it
                asked, title = seat.asked, seat.recipe.title
                if asked and seat.missing:
                    return InVain(name, Verdict.UNJUDGED, "no-service",
                                  f"your server connected to {title}, which cannot be had here: {seat.missing}")
                if asked and seat.trouble is not None:
                    trouble = seat.trouble
                    unjudged = trouble.code == "memory-short"
                    return InVain(name, Verdict.UNJUDGED if unjudged else Verdict.ERROR, trouble.code,
                                  f"your server connected to {title}, which could not be started: {trouble.message}",
                                  trouble.hint or "")
                if seat.awake and (lack := seat.recipe.lacking(log)) is not None:
                    return InVain(name, Verdict.UNJUDGED, "no-extension", *lack)
        return None

    def restarted_by_us(self, service: str) -> None:
        """One of our faults started the service again: from now on this start is the right one."""
        self._seats[service].restarted_by_us()

    def wait_ready(self, service: str) -> None:
        """Until the service answers again after a fault. Raises ``EnvironmentFault``."""
        self._seats[service].wait_ready()

    # --- waking ----------------------------------------------------------------------------------------------

    def _open_links(self) -> None:
        for seat in self._seats.values():
            seat.open_links(lambda seat=seat: self._knock(seat))  # type: ignore[misc]

    def _knock(self, seat: Seat) -> None:
        """Somebody waits at a sleeping service's link; on the proxy's thread. Several at once wake it once."""
        name = seat.recipe.name
        with self._knocking:
            if name in self._knocked:
                return
            self._knocked.add(name)
        seat.asked = True

        def answer(seat: Seat) -> None:
            # From here on another knock is another try: it may have come after who waited was let in, or reset.
            with self._knocking:
                self._knocked.discard(name)
            with contextlib.suppress(LabsError):  # remembered as the seat's trouble; who waits is reset
                if seat.missing:
                    seat.refuse()
                else:
                    self._rouse(seat, prepare=True, asked=True)

        self._begin(answer, [seat])

    def _rouse(self, seat: Seat, *, prepare: bool, asked: bool = False) -> None:
        with seat.lock:
            if seat.awake:
                return
            if asked:
                with self._knocking:
                    self._woken.add(seat.recipe.name)
            seat.wake(prepare=prepare, before=lambda: self._record_late(seat))

    def _record_late(self, seat: Seat) -> None:
        """Sessions obey what is switched on before they begin, so also where nothing is recorded just now."""
        recorders = self._recorders
        if recorders is not None:
            _record(seat, recorders)

    def _forget(self) -> None:
        with self._knocking:
            self._woken.clear()

    # --- together --------------------------------------------------------------------------------------------

    @staticmethod
    def _awake_only(seat: Seat, work: Callable[[], None]) -> None:
        with seat.lock:
            if seat.awake:
                work()

    def _heal_links(self) -> None:
        if not self._proxy.alive():
            raise EnvironmentFault("the proxy of labs before the services broke down", code="proxy-broken",
                                   hint="labs check")
        self._proxy.heal()

    def _stop_if_closing(self, _: Progress) -> None:
        if self._closing.is_set():
            raise EnvironmentFault("the judge space is being removed", code="interrupted")

    def _settle(self) -> None:
        """Nothing new is begun here, and what works has ended."""
        self._closing.set()
        for job in self._work:
            job.settle(CLOSE_BUDGET)

    def _remove_all(self) -> None:
        self._begin(lambda seat: seat.remove(), self._seats.values()).settle(CLOSE_BUDGET)

    def _together(self, work: Callable[[Seat], None]) -> None:
        self._begin(work, self._seats.values()).wait()

    def _begin(self, work: Callable[[Seat], None], seats: Iterable[Seat]) -> Together[Seat]:
        """Begin work on some services; it is known to ``close`` before it begins."""
        job = Together(work, seats)
        self._work = [*(other for other in self._work if not other.settle(0.0)), job]
        job.start()
        return job


def _whole(link: Endpoint, *, like: Endpoint) -> Endpoint:
    """A replica's link: of several nodes the first one goes by two names."""
    return dataclasses.replace(link, others={**link.others, "node-1": link.port}) if "node-1" in like.others else link


def _record(seat: Seat, recorders: Recorders) -> None:
    """Begin to record what the learner's role does in this service, where that can be done."""
    if not isinstance(seat.recipe, Recordable):
        return
    try:
        recorders.begin(seat.recipe.name, seat.recipe.record(seat.endpoint, seat.spec.credentials))
    except (ConnectionError, EnvironmentFault) as error:
        recorders.begin(seat.recipe.name, error)
