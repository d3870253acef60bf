"""One service of a judge space: its link, its instances once it is awake, and how it is made as new.

The link is open before the service is: a service that tells clients where it is can tell them the link. A seat sleeps
until its service is needed, and is made at most once however many wait for it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from orchestrator import __version__
from orchestrator.engines.base import Engine
from orchestrator.environments.execute import Progress
from orchestrator.environments.life import Life, StartFailed
from orchestrator.environments.plan import EnvironmentPlan, plan_anew
from orchestrator.environments.readiness import answer_within, wait_ready
from orchestrator.environments.specs import Ports, node_names, nodes_of, settings_of
from orchestrator.errors import EnvironmentFault, LabsError
from orchestrator.judge.postmortem import Incarnation, observe
from orchestrator.model import Endpoint, InstanceSpec, Product, Ready, State
from orchestrator.services.base import Clearing, Emptying, Lingering, Recipe

if TYPE_CHECKING:
    from orchestrator.faults.proxy import Proxy

ANSWER_BUDGET = 1.0
LOG_LINES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Marks:
    """By which a service is known again: how it is started, and which run of it this is."""

    recipe: str
    incarnation: str


def made_as(engine: Engine, recipe: Recipe) -> str:
    """Another one than before: this service would be made in another way today."""
    return f"{__version__} {settings_of(engine, recipe)}"


def words_of(incarnation: Incarnation) -> str:
    """The incarnation as it is noted."""
    return f"{incarnation.engine} {incarnation.service}"


@dataclasses.dataclass(frozen=True, slots=True)
class Tools:
    """What all seats of a space share. ``on_step`` hears of each step of a start, and may end it with an error.

    ``allow`` says whether a service may be started: it raises ``EnvironmentFault`` if not.
    """

    engine: Engine
    proxy: Proxy
    life: Life
    ports: Ports
    on_step: Callable[[Progress], None]
    allow: Callable[[Recipe], None]


class Seat:
    """One service. ``endpoint`` is straight to it, ``link`` the proxy's address: all that the target is given.

    ``lock`` is held by whoever makes it, wakes it or makes it new. ``wanted``: it must be there for what is judged;
    ``awake``: it is; ``trouble``: why it could not be woken; ``hurt``: too damaged to be emptied, recreate it.
    """

    def __init__(self, recipe: Recipe, spec: InstanceSpec, tools: Tools, *, missing: str = "") -> None:
        self.recipe = recipe
        self.nodes: tuple[InstanceSpec, ...] = (spec,)
        self.link: Endpoint | None = None
        self.missing = missing
        """Why this service cannot run here, and what would help; empty: it can."""
        self.lock = threading.RLock()
        self.wanted = self.awake = self.hurt = self.asked = False
        self.trouble: EnvironmentFault | None = None
        self.product: Product | None = None
        self.incarnation: Incarnation | None = None
        self.spare: frozenset[str] = frozenset()
        """What stays when it is emptied under a running server."""
        self._tools = tools
        self._made = False
        """The engine may have instances of it."""
        self._untouched = False
        """It is new, and no server has seen it."""

    @property
    def spec(self) -> InstanceSpec:
        """The only instance, or the first of several nodes."""
        return self.nodes[0]

    @property
    def endpoint(self) -> Endpoint:
        """Straight to the service, around the proxy."""
        return self.spec.endpoint

    @property
    def is_file(self) -> bool:
        """It listens nowhere, so there is no link, and nobody can be heard to ask for it."""
        return self.recipe.port == 0

    @property
    def seen(self) -> Endpoint | None:
        """Where the target reaches it; ``None``: it cannot."""
        return (self.endpoint if self.awake else None) if self.is_file else self.link

    # --- its life --------------------------------------------------------------------------------------------

    def open_links(self, knock: Callable[[], None]) -> None:
        """A link for every endpoint, before anything runs. ``knock`` when somebody waits for a sleeping service."""
        if self.is_file:
            return
        further = [f"node-{number}" for number in range(2, self.recipe.nodes + 1)]
        link = self._tools.proxy.open(self.recipe.name, None, others=[*self.recipe.more_ports, *further],
                                      ports=self.spec.links, knock=knock)
        links = {"": link.port, **link.others}
        self.nodes = (dataclasses.replace(self.spec, links=links),)
        first = {"node-1": link.port} if further else {}
        self.link = Endpoint(link.port, others={**link.others, **first})

    def take_over(self) -> None:
        """Its nodes run and are prepared already: they are this seat's from now on."""
        self._made = self.awake = True
        self._connect()

    def know(self) -> None:
        """What was taken over says what it is."""
        with self.lock:
            self.product = self.recipe.product(self.endpoint, self.spec.credentials)

    def marks(self) -> Marks | None:
        """By which it is known again; ``None`` if it is not as the last attempt left it."""
        with contextlib.suppress(Exception):  # whatever it is, nobody should take it over
            now = observe(self._tools.engine, self.recipe, self.spec)
            if not self.hurt and now == self.incarnation:
                return Marks(made_as(self._tools.engine, self.recipe), words_of(now))
        return None

    def wake(self, *, prepare: bool, before: Callable[[], None]) -> None:
        """Make it, unless it is awake; with ``prepare`` as an attempt finds it, then ``before``; then let in who waits.

        Raises ``EnvironmentFault``: then it is ``trouble``, too, and who waits is reset.
        """
        with self.lock:
            if self.awake:
                return
            try:
                if self.trouble is not None:
                    raise self.trouble
                self._tools.allow(self.recipe)
                self._make()
                if prepare:
                    self._empty()
                    before()
                self.awake = True
                self._connect()
            except EnvironmentFault as error:
                self.trouble = error
                self.refuse()
                raise

    def refuse(self) -> None:
        """Whoever waits for it waits in vain."""
        if not self.is_file:
            self._tools.proxy.refuse(self.recipe.name)

    def renew(self) -> None:
        """As a new attempt finds it: made anew if it is hurt or silent, else emptied; its link counts from 0."""
        with self.lock:
            renewed = not self.awake or self.hurt or not self._usable() or not (
                self._untouched or isinstance(self.recipe, Emptying))
            if renewed:
                self._remake()
            try:
                self._empty()
            except EnvironmentFault:
                if renewed:
                    raise
                self._remake()
                self._empty()
            self._count_anew()

    def reuse(self) -> None:
        """Take it as it was emptied a while ago, if it has been running and answering ever since."""
        with self.lock:
            try:
                same = not self.hurt and observe(self._tools.engine, self.recipe, self.spec) == self.incarnation
            except Exception:  # whatever it is, it is not the service that was emptied
                same = False
            if not same:
                self.renew()
            self._count_anew()

    def clear(self) -> None:
        """Empty it under a running server. Raises ``EnvironmentFault`` where that fails.

        What has no way to do that stays as it is: milestones that use it are not judged on a server that runs.
        """
        with self.lock:
            with self._emptying():
                if isinstance(self.recipe, Clearing):
                    self.recipe.clear(self.endpoint, self.spec.credentials, spare=self.spare)
            self._count_anew()

    def let_go(self) -> None:
        """The target has ended: what it had begun here ends, too, where the service would go on holding it."""
        if self.awake and isinstance(self.recipe, Lingering):
            with contextlib.suppress(ConnectionError):  # it is gone itself: the post-mortem says so
                self.recipe.let_go(self.endpoint, self.spec.credentials)

    def note_contents(self) -> None:
        """What is in it now stays when it is cleared."""
        with self.lock:
            if isinstance(self.recipe, Clearing):
                self.spare = self.recipe.contents(self.endpoint, self.spec.credentials)

    def remove(self) -> None:
        """Its instances with their data, whatever state they are in."""
        for name in node_names(self.spec) if self._made else ():
            self._tools.engine.remove(name, data=True)

    # --- around faults of a check ----------------------------------------------------------------------------

    def wait_ready(self) -> None:
        """Until it answers again after a fault, and is prepared. Raises ``EnvironmentFault``."""
        wait_ready(self._tools.engine, self.recipe, self.spec, nodes=node_names(self.spec))
        self.recipe.prepare(self.endpoint, self.spec.credentials)

    def restarted_by_us(self) -> None:
        """From now on this start is the right one."""
        self.incarnation = None
        self.incarnation = observe(self._tools.engine, self.recipe, self.spec)

    def log(self, lines: int) -> str:
        """The last lines that it wrote."""
        text = ""
        if self.recipe.log_source == "service":
            with contextlib.suppress(Exception):  # a log is a help, never a reason to fail
                text = self.recipe.log_tail(self.endpoint, self.spec.credentials, lines)
        if not text:
            with contextlib.suppress(Exception):
                text = "\n".join(self._tools.engine.logs(name, tail=lines) for name in node_names(self.spec))
        return text

    def client_advice(self, said: str) -> str:
        """What the service knows of a mistake of the server as its client, from what that ``said``; else ``""``."""
        with contextlib.suppress(Exception):  # advice is a help, never a reason to fail
            return self.recipe.client_advice(self.endpoint, self.spec.credentials, said) or ""
        return ""

    # --- parts -----------------------------------------------------------------------------------------------

    def _remake(self) -> None:
        self._make()
        self.awake = True
        self._connect()

    def _make(self) -> None:
        """Make it (anew), start, wait until ready. If somebody took a port: the next one. It is not prepared."""
        there, tools = self._made, self._tools

        def decide(busy: Collection[int]) -> EnvironmentPlan:
            # What a first try left, with a port that it could not have, goes, too.
            old = [found for name in node_names(self.spec) if (found := tools.engine.inspect(name)) is not None
                   ] if there or busy else []
            tools.ports.avoid(busy)
            self._made = True
            nodes = nodes_of(tools.engine, self.recipe, self.spec, lambda *_: tools.ports.take())
            self.nodes = tuple(dataclasses.replace(one, links=self._links_of(one.node)) for one in nodes)
            return plan_anew(self.nodes, old, "it must be as new" if there else "it is judged on")

        try:
            tools.life.bring_up(decide, on_progress=tools.on_step)
        except StartFailed:
            self.awake = False
            raise
        self.product = self.recipe.product(self.endpoint, self.spec.credentials)
        self.hurt, self._untouched, self.trouble = False, True, None

    def _links_of(self, node: int) -> dict[str, int]:
        """What a node tells clients: the first one has all links of the service, another one its own."""
        links = self.spec.links
        if node == 1:
            return dict(links)
        return {"": links[f"node-{node}"]} if f"node-{node}" in links else {}

    def _connect(self) -> None:
        if not self.is_file:
            self._tools.proxy.redirect(self.recipe.name, self.endpoint)

    def _count_anew(self) -> None:
        if not self.is_file:
            self._tools.proxy.reset_counts(self.recipe.name)

    def _empty(self) -> None:
        """Empty it; what cannot be emptied is new already, and made ready for the server."""
        with self._emptying():
            if isinstance(self.recipe, Emptying):
                self.recipe.fresh(self.endpoint, self.spec.credentials)
            else:
                self.recipe.prepare(self.endpoint, self.spec.credentials)
        self._untouched = False

    @contextlib.contextmanager
    def _emptying(self) -> Iterator[None]:
        """Around what empties it: afterwards it stands as it must."""
        try:
            yield
            self.incarnation = observe(self._tools.engine, self.recipe, self.spec)
        except LabsError:
            raise
        except Exception as error:  # a client library's own error: the service did not do what it must
            raise EnvironmentFault(
                f"{self.recipe.title} could not be emptied: {error}", code="service-lost", hint="labs check",
                details=self.log(LOG_LINES).splitlines(),
            ) from error

    def _usable(self) -> bool:
        instances = [self._tools.engine.inspect(name) for name in node_names(self.spec)]
        if any(one is None or one.state is not State.RUNNING for one in instances):
            return False
        return isinstance(answer_within(self.recipe, self.endpoint, self.spec.credentials, ANSWER_BUDGET), Ready)
