"""The judge space: private instances of a lab's services, fresh for every attempt, gone after the run.

Each stands behind the proxy, which is the only address that the target is given; evidence is read straight from the
service. Starting and refreshing is done side by side.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator import services
from orchestrator.engines.base import Engine
from orchestrator.environments.execute import Progress
from orchestrator.environments.life import Life, StartFailed
from orchestrator.environments.plan import EnvironmentPlan, plan_anew
from orchestrator.environments.readiness import wait_ready
from orchestrator.environments.specs import Ports, first_name, node_names, nodes_of
from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.judge.postmortem import Incarnation, Unfit, examine, observe
from orchestrator.judge.recording import Recorders
from orchestrator.model import Endpoint, InstanceSpec, Owner, Product, Ready, State
from orchestrator.services.base import Clearing, Emptying, Recipe, Recordable
from orchestrator.system.together import Together

if TYPE_CHECKING:
    from orchestrator.faults.proxy import Proxy

CLOSE_BUDGET = 2.5
"""Seconds in which work that still runs must notice that the space is closed."""
ANSWER_BUDGET = 1.0
LOG_LINES = 20


@dataclasses.dataclass(slots=True)
class Seat:
    """One service of the space. ``link`` is the proxy's address; ``hurt``: too damaged to be emptied, recreate it.

    ``made``: the engine may have instances of it; ``untouched``: new, and no server has seen it.

    ``spare``: what stays when the service is emptied under a running server.
    """

    recipe: Recipe
    nodes: tuple[InstanceSpec, ...]
    link: Endpoint | None = None
    product: Product | None = None
    incarnation: Incarnation | None = None
    hurt: bool = False
    made: bool = False
    untouched: bool = False
    spare: frozenset[str] = frozenset()

    @property
    def spec(self) -> InstanceSpec:
        """The only instance, or the first of several nodes."""
        return self.nodes[0]

    @property
    def endpoint(self) -> Endpoint:
        """Straight to the service, around the proxy."""
        return self.spec.endpoint


class Space:
    """The services of one run. Made with ``begin`` and ``opened``; ``close`` removes everything, in any state."""

    def __init__(self, engine: Engine, recipes: Sequence[Recipe], *, lab: str, owner: Owner, proxy: Proxy) -> None:
        self._engine = engine
        self._proxy = proxy
        self._work: list[Together[Seat]] = []
        self._closing = threading.Event()
        self._ports = Ports()
        self._life = Life(engine, {recipe.name: recipe for recipe in recipes}, user=owner.user,
                          installation=owner.installation)
        self._prepared = False
        self._seats = {
            recipe.name: Seat(recipe, (InstanceSpec(
                service=recipe.name, name=first_name(owner.environment, recipe.name), name_given="", lab=lab,
                owner=owner, credentials=recipe.credentials(), port=0, keep_data=False, config="judge",
            ),))
            for recipe in recipes
        }

    # --- life ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start all services, side by side, and return at once."""
        self._begin(self._open)

    def opened(self) -> None:
        """Wait until all that ``begin`` started are ready. Raises the first ``EnvironmentFault``."""
        for job in self._work:
            job.wait()

    def fresh(self) -> None:
        """Empty every service, heal every link, set every count to zero; recreate what is hurt or silent.

        Only while no target runs. Raises ``EnvironmentFault`` when a service cannot be had even anew.
        """
        self._heal_links()
        prepared, self._prepared = self._prepared, False
        self._together(self._reuse if prepared else self._refresh)

    def settle(self) -> None:
        """What is in the services now was put there by the server at its start: ``clear`` leaves it."""
        self._together(self._note_contents)

    def clear(self) -> None:
        """Empty every service under a running server, heal every link, set every count to zero.

        Raises ``EnvironmentFault`` where that cannot be done; a service that was recreated would lack the server's
        tables.
        """
        self._heal_links()
        self._together(self._clear)

    def prepare(self) -> None:
        """Do the work of the next ``fresh`` now. Only while no target runs, and none may run before it."""
        self.fresh()
        self._prepared = True

    def close(self) -> None:
        """Remove every instance with its data, whatever state it is in and whatever still works on it."""
        self._closing.set()
        unsettled = [job for job in self._work if not job.settle(0.0)]
        self._remove_all()
        if unsettled:
            for job in unsettled:
                job.settle(CLOSE_BUDGET)
            # What was being created during the first removal is there only now.
            self._remove_all()

    def let_go(self) -> None:
        """The instances are somebody else's from now on: ``close`` leaves them as they are."""
        self._seats = {}

    # --- what others need of it ------------------------------------------------------------------------------

    @property
    def products(self) -> dict[str, Product]:
        """What really runs, as the services themselves say."""
        return {name: seat.product for name, seat in self._seats.items() if seat.product is not None}

    def seat(self, service: str) -> Seat | None:
        """One service, or ``None`` if this space has none of that name."""
        return self._seats.get(service)

    def environment(self) -> dict[str, str]:
        """What the target gets: ``DATABASE_URL`` and the like, all through the proxy."""
        return services.variables(
            (seat.recipe, seat.link, seat.spec.credentials) for seat in self._seats.values() if seat.link is not None)

    def admin(self) -> dict[str, Mapping[str, str]]:
        """What the checks' evidence readers get, straight to the services."""
        return {name: seat.recipe.admin(seat.endpoint, seat.spec.credentials) for name, seat in self._seats.items()}

    def logs(self, lines: int = LOG_LINES) -> dict[str, str]:
        """The last lines that each service wrote."""
        return {name: self._log(seat, lines) for name, seat in self._seats.items()}

    def record(self) -> Recorders:
        """Begin to record what the learner's role does in every service. Only while no target runs."""
        recorders = Recorders()

        def begin(seat: Seat) -> None:
            if not isinstance(seat.recipe, Recordable):
                return
            try:
                recorders.begin(seat.recipe.name, seat.recipe.record(seat.endpoint, seat.spec.credentials))
            except (ConnectionError, EnvironmentFault) as error:
                recorders.begin(seat.recipe.name, error)

        self._together(begin)
        return recorders

    def examine(self) -> Unfit | None:
        """The post-mortem of all services: the first thing that makes one unfit as a witness."""
        try:
            self._heal_links()
        except EnvironmentFault as error:
            return Unfit("proxy", error.code, error.message)
        unfit: dict[str, Unfit] = {}

        def look(seat: Seat) -> None:
            assert seat.link is not None
            found = examine(self._engine, seat.recipe, seat.spec, seat.incarnation, seat.link)
            if found is not None:
                unfit[seat.spec.service] = found

        self._together(look)
        for name, first in unfit.items():
            self._seats[name].hurt = True
            return first
        return None

    def restarted_by_us(self, service: str) -> None:
        """One of our faults started the service again: from now on this start is the right one."""
        seat = self._seats[service]
        seat.incarnation = None
        seat.incarnation = observe(self._engine, seat.recipe, seat.spec)

    def wait_ready(self, service: str) -> None:
        """Until the service answers again after a fault. Raises ``EnvironmentFault``."""
        seat = self._seats[service]
        wait_ready(self._engine, seat.recipe, seat.spec, nodes=node_names(seat.spec))
        seat.recipe.prepare(seat.endpoint, seat.spec.credentials)

    # --- one service -----------------------------------------------------------------------------------------

    def _open(self, seat: Seat) -> None:
        """Make it (anew), start, wait until ready, put the proxy before it. If somebody took a port: the next one.

        It is not prepared: each attempt begins with ``fresh``, which does that.
        """
        there = seat.made

        def decide(busy: Collection[int]) -> EnvironmentPlan:
            # What a first try left, with a port that it could not have, goes, too.
            old = [found for name in node_names(seat.spec) if (found := self._engine.inspect(name)) is not None
                   ] if there or busy else []
            self._ports.avoid(busy)
            seat.made = True
            seat.nodes = nodes_of(self._engine, seat.recipe, seat.spec, lambda *_: self._ports.take())
            return plan_anew(seat.nodes, old, "it must be as new" if there else "it is judged on")

        try:
            self._life.bring_up(decide, on_progress=self._stop_if_closing)
        except StartFailed:
            seat.made = False
            raise
        if seat.link is None:
            seat.link = self._proxy.open(seat.spec.service, seat.endpoint)
        else:
            self._proxy.redirect(seat.spec.service, seat.endpoint)
        seat.product = seat.recipe.product(seat.endpoint, seat.spec.credentials)
        seat.hurt, seat.untouched = False, True

    def _refresh(self, seat: Seat) -> None:
        emptying = isinstance(seat.recipe, Emptying)
        renewed = seat.hurt or not self._usable(seat) or not (emptying or seat.untouched)
        if renewed:
            self._open(seat)
        try:
            self._empty(seat)
        except EnvironmentFault:
            if renewed:
                raise
            self._open(seat)
            self._empty(seat)
        self._proxy.reset_counts(seat.spec.service)

    def _reuse(self, seat: Seat) -> None:
        """Take a service that was emptied a while ago, if it has been running and answering ever since."""
        try:
            same = not seat.hurt and observe(self._engine, seat.recipe, seat.spec) == seat.incarnation
        except Exception:  # whatever it is, it is not the service that was emptied
            same = False
        if not same:
            self._refresh(seat)
        self._proxy.reset_counts(seat.spec.service)

    def _empty(self, seat: Seat) -> None:
        """Empty it; what cannot be emptied is new already, and made ready for the server."""
        with self._emptying(seat):
            if isinstance(seat.recipe, Emptying):
                seat.recipe.fresh(seat.endpoint, seat.spec.credentials)
            else:
                seat.recipe.prepare(seat.endpoint, seat.spec.credentials)
        seat.untouched = False

    def _clear(self, seat: Seat) -> None:
        if not isinstance(seat.recipe, Clearing):
            raise EnvironmentFault(f"{seat.recipe.title} cannot be emptied while your server runs", code="not-emptied")
        with self._emptying(seat):
            seat.recipe.clear(seat.endpoint, seat.spec.credentials, spare=seat.spare)
        self._proxy.reset_counts(seat.spec.service)

    def _note_contents(self, seat: Seat) -> None:
        if isinstance(seat.recipe, Clearing):
            seat.spare = seat.recipe.contents(seat.endpoint, seat.spec.credentials)

    @contextlib.contextmanager
    def _emptying(self, seat: Seat) -> Iterator[None]:
        """Around what empties a service: afterwards it stands as it must."""
        try:
            yield
            seat.incarnation = observe(self._engine, seat.recipe, seat.spec)
        except LabsError:
            raise
        except Exception as error:  # a client library's own error: the service did not do what it must
            raise EnvironmentFault(
                f"{seat.recipe.title} could not be emptied: {error}", code="service-lost", hint="labs check",
                details=self._log(seat, LOG_LINES).splitlines(),
            ) from error

    def _usable(self, seat: Seat) -> bool:
        instances = [self._engine.inspect(name) for name in node_names(seat.spec)]
        if seat.link is None or any(one is None or one.state is not State.RUNNING for one in instances):
            return False
        end = time.monotonic() + ANSWER_BUDGET
        while not isinstance(seat.recipe.probe(seat.endpoint, seat.spec.credentials), Ready):
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)
        return True

    def _remove(self, seat: Seat) -> None:
        for name in node_names(seat.spec):
            self._engine.remove(name, data=True)

    def _log(self, seat: Seat, lines: int) -> str:
        text = ""
        if seat.recipe.log_source == "service":
            with contextlib.suppress(Exception):  # a log is a help, never a reason to fail
                text = seat.recipe.log_tail(seat.endpoint, seat.spec.credentials, lines)
        if not text:
            with contextlib.suppress(Exception):
                text = "\n".join(self._engine.logs(name, tail=lines) for name in node_names(seat.spec))
        return text

    def _heal_links(self) -> None:
        if not self._proxy.alive():
            raise EnvironmentFault("the proxy of labs before the services broke down", code="proxy-broken",
                                   hint="labs check")
        self._proxy.heal()

    def _stop_if_closing(self, _: Progress | None = None) -> None:
        if self._closing.is_set():
            raise EnvironmentFault("the judge space is being removed", code="interrupted")

    def _remove_all(self) -> None:
        removal = Together(self._remove, self._seats.values())
        removal.start()
        removal.settle(CLOSE_BUDGET)

    def _together(self, work: Callable[[Seat], None]) -> None:
        self._begin(work).wait()

    def _begin(self, work: Callable[[Seat], None]) -> Together[Seat]:
        """Begin work on every service; it is known to ``close`` before it begins."""
        job = Together(work, self._seats.values())
        self._work = [*(other for other in self._work if not other.settle(0.0)), job]
        job.start()
        return job
