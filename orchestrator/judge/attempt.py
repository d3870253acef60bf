"""One attempt at a milestone: a fresh space, the target started on it, one child heard out, its words judged.

Everything that an attempt starts is ended when it ends, also by an exception or Ctrl-C at any moment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.checks.protocol import VERSION, Message
from orchestrator.engines.base import Engine
from orchestrator.errors import EnvironmentFault
from orchestrator.judge.ahead import Ahead
from orchestrator.judge.calls import HELD, Calls
from orchestrator.judge.child import CallFailed, Child
from orchestrator.judge.child_process import Launch
from orchestrator.judge.postmortem import Unfit
from orchestrator.judge.recording import timeline
from orchestrator.judge.showing import MORE_TIME, Showing
from orchestrator.judge.space import Space
from orchestrator.judge.starvation import Starvation
from orchestrator.judge.verdict import Expected, Judgement, judge, so_far
from orchestrator.judge.vigil import Vigil
from orchestrator.model import Lab, Milestone, Verdict, Workspace
from orchestrator.report.result import BLAMED, CheckResult, MilestoneResult
from orchestrator.report.timeline import Timeline
from orchestrator.roles import addresses
from orchestrator.system.interrupt import Cancel
from orchestrator.system.together import made, surely
from orchestrator.workspace.budgets import start_budget
from orchestrator.workspace.select import PlannedMilestone

if TYPE_CHECKING:
    from orchestrator.attach.target import AttachedTarget
    from orchestrator.faults.proxy import Proxy
    from orchestrator.targets.process import Target, TargetInvalid

LIMITS: Mapping[str, int] = {"body": 8 * 1024 * 1024, "header": 64 * 1024, "depth": 64}
"""What the checks' HTTP client accepts of the target: bytes, bytes, levels of JSON."""
STOP_GRACE = 1.0
"""Seconds of SIGTERM for a target whose checks are done; how it stops is judged by checks, not here."""
INTERRUPTED_PATIENCE = 2.0


class Listener(Protocol):
    """Hears how a run goes on, in the run's own thread. It renders; nothing here does."""

    def on_phase(self, milestone: str, phase: str) -> None:
        """A phase begins: ``build``, ``space``, ``start``, ``checks``, ``end``; for all together: the lab's name."""

    def on_check(self, milestone: str, result: CheckResult) -> None:
        """A check has finished. As it looks now: only the milestone's result is final."""

    def on_timeline(self, timeline: Timeline) -> None:
        """An attempt at a milestone is over; this is what was recorded of it. Before ``on_milestone``."""

    def on_milestone(self, result: MilestoneResult) -> None:
        """A milestone has its verdict."""


class SpaceLost(EnvironmentFault):
    """The judge space could not be made fresh."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stage:
    """What all attempts of a run share.

    ``folder`` is the run's scratch; ``child`` starts a milestone's pytest; ``ahead`` may have a child that waits;
    ``attached`` is a server that runs already, to be judged instead of the workspace's; ``show`` gets each target
    before it starts; ``showing``: for `labs explore`.
    """

    lab: Lab
    workspace: Workspace
    seed: int
    engine: Engine
    space: Space
    proxy: Proxy
    control_port: int
    folder: Path
    child: Callable[[Milestone], Launch]
    listener: Listener
    cancel: Cancel
    ahead: Ahead
    attached: AttachedTarget | None
    show: Callable[[Target | AttachedTarget], None]
    shuffle: bool = False
    showing: Showing | None = None


def attempt(
    stage: Stage, planned: PlannedMilestone, checks: Sequence[Expected], *, number: int,
    following: Milestone | None = None, some: bool = False,
) -> MilestoneResult:
    """Judge one milestone once; ``number`` counts the attempts at it. Raises ``SpaceLost``, ``Cancelled``.

    The child of the ``following`` milestone loads its checks while these wait for their answers. ``some``: ``checks``
    are not all that the file has.
    """
    milestone = planned.milestone
    phases: dict[str, float] = {}
    port = 0
    showing = stage.showing

    @contextlib.contextmanager
    def phase(name: str) -> Iterator[None]:
        stage.cancel.look()
        stage.listener.on_phase(milestone.id, name)
        began = time.monotonic()
        try:
            yield
        finally:
            phases[name] = time.monotonic() - began

    def result(verdict: Verdict, reason: str = "", message: str = "", *, advice: str = "", server_log: str = "",
               results: tuple[CheckResult, ...] = (), kept: Mapping[str, str] | None = None) -> MilestoneResult:
        # Only what this milestone is about; when the fault is ours, everything may matter.
        logs = {} if verdict in (Verdict.PASS, Verdict.UNJUDGED) else {
            service: log for service, log in (stage.space.logs() if kept is None else kept).items()
            if verdict is Verdict.ERROR or service in milestone.services
        }
        if verdict in BLAMED and not advice:
            advice = stage.space.client_advice(server_log)
        return MilestoneResult(
            milestone.id, milestone.title, verdict, planned.role, results, reason, message, advice,
            str(milestone.brief), milestone.points, number, phases, port,
            "" if verdict is Verdict.PASS else server_log, logs, logs_of_failure=kept is not None,
        )

    with ExitStack() as stack:
        # The child first: pytest and the checks' imports load while the space and the target are made ready.
        name = f"{milestone.id.replace('/', '-')}-{number}"
        child = made(stack, lambda: stage.ahead.take(milestone) or Child(
            stage.child(milestone), folder=stage.folder, name=name), Child.close)
        with phase("space"):
            try:
                if stage.attached is None:
                    stage.space.fresh()
                else:
                    stage.space.clear()
                recorders = stage.space.record()
            except EnvironmentFault as error:
                hint = error.hint if stage.attached is None else "labs run   (end the one that runs, start it again)"
                raise SpaceLost(error.message, code=error.code, hint=hint, details=error.details) from error
        stack.callback(recorders.stop)
        stage.proxy.forget_trips()
        target = stage.attached or make_target(stage, milestone)
        port = target.port
        stack.callback(surely, target.close)
        stage.show(target)
        starvation = Starvation(lambda: target.root)
        stack.callback(starvation.stop)
        calls = Calls(target, lambda name, env: make_target(stage, milestone, name, env), space=stage.space,
                      proxy=stage.proxy, engine=stage.engine, attached=stage.attached is not None, lost=starvation.lost)
        stack.callback(surely, lambda: calls.close(patience=INTERRUPTED_PATIENCE))
        seats = [stage.space.seat(service.name) for service in stage.lab.services]
        vigil = Vigil(stage.engine, [seat for seat in seats if seat is not None], calls.freezes)
        stack.callback(vigil.stop)
        with phase("start"):
            invalid = _start(calls, stage.cancel)

        def told(done: MilestoneResult) -> MilestoneResult:
            stage.listener.on_timeline(timeline(
                done, checks, seed=stage.seed, products=stage.space.products, recordings=recorders.stop(),
                exchanges=child.exchanges, marks=calls.marks, trips=stage.proxy.trips()))
            return done

        if invalid is not None:
            target.close()
            recorders.stop()
            unfit, vain = _unfit(stage, vigil, target), stage.space.in_vain(invalid.log)
            if unfit is not None or invalid.ours:
                message = unfit.message if unfit else str(invalid)
                advice = "" if unfit else invalid.advice
                return told(result(Verdict.ERROR, unfit.reason if unfit else invalid.reason, message, advice=advice,
                                   server_log=invalid.log))
            if vain is not None:
                return told(result(vain.verdict, vain.reason, vain.message, advice=vain.advice, server_log=invalid.log))
            return told(result(Verdict.INVALID, invalid.reason, str(invalid), advice=invalid.advice,
                               server_log=invalid.log))
        nonce = secrets.token_hex(16)
        with phase("checks"):
            starvation.start()
            if following is not None:
                stage.ahead.prepare(following, stage.child(following))
            transcript = child.converse(
                _first(stage, milestone, target, nonce) | ({"only": [check.id for check in checks]} if some else {})
                | ({} if showing is None else {"show": showing.wish()}),
                budget=milestone.budget * (1 if showing is None else MORE_TIME), answerer=calls,
                on_event=lambda events: _tell(stage, milestone.id, checks, events, nonce),
                cancel=stage.cancel, more=lambda: calls.slow_starts() + min(starvation.total(), milestone.budget),
            )
        with phase("end"):
            starvation.stop()
            calls.close()
            died = calls.target_wanted and not target.alive()
            status = target.stop(STOP_GRACE)
            log = target.log()
            target.close()
            recorders.stop()
            judgement = judge(checks, transcript, nonce)
            if showing is not None:
                judgement = showing.told(judgement, transcript.events)
            blamed = any(check.verdict in BLAMED for check in judgement.checks)
            unfit = _unfit(stage, vigil, target) if blamed or target.foreign else None
            vain = stage.space.in_vain(log) if blamed else None
        if unfit is not None:
            return told(result(Verdict.ERROR, unfit.reason, unfit.message, server_log=log,
                               results=excuse(judgement.checks, Verdict.ERROR, unfit.reason, unfit.message)))
        if vain is not None:
            return told(result(vain.verdict, vain.reason, vain.message, advice=vain.advice, server_log=log,
                               results=excuse(judgement.checks, vain.verdict, vain.reason, vain.message)))
        if stage.attached is not None and judgement.verdict is Verdict.UNJUDGED:
            return told(result(judgement.verdict, _reason(judgement), left_out(judgement.checks),
                               advice=f"labs check {milestone.id}   (after you ended labs run with Ctrl-C)",
                               results=judgement.checks))
        message = _message(judgement, child, died=died, status=status)
        kept = None
        if judgement.verdict in BLAMED and calls.logs is not None and not died:
            log, kept = calls.logs
        return told(result(judgement.verdict, _reason(judgement), message, server_log=log, results=judgement.checks,
                           kept=kept))


def make_target(stage: Stage, milestone: Milestone, replica: str = "", env: Mapping[str, str] | None = None) -> Target:
    """A target that is not started, on the run's space and a port of its own; a replica's has links of its own, too.

    Never a port that was used before: not every server can bind one on which connections have just been closed.
    ``env``: values of the lab's variables in place of the lab's own; ``CallFailed`` for a name that the lab has not.
    """
    from orchestrator.system.ports import free_port
    from orchestrator.targets.environ import target_environment
    from orchestrator.targets.process import Target

    port, run_id, extra = free_port(), secrets.token_hex(8), _changed(stage.lab.server.env, env or {})
    services = stage.space.environment(replica, addresses(stage.lab, milestone))
    environment = target_environment(port=port, run_id=run_id, services=services, extra=extra)
    return Target(
        stage.workspace, port=port, environment=environment, run_id=run_id,
        start_budget=start_budget(stage.lab, stage.workspace), scratch=stage.folder / f"target-{run_id}",
    )


def _changed(own: Mapping[str, str], env: Mapping[str, str]) -> dict[str, str]:
    """The lab's variables with some values changed. A variable that no ``lab.toml`` declares is known to no learner."""
    unknown = sorted(set(env) - set(own))
    if unknown:
        raise CallFailed("bug", "bug", f"a replica was to get {', '.join(unknown)}, which lab.toml does not declare in "
                         "[server] env")
    return {**own, **env}


def excuse(checks: Sequence[CheckResult], verdict: Verdict, reason: str, what: str) -> tuple[CheckResult, ...]:
    """The checks with every blame turned into what a service was to blame for."""
    return tuple(
        dataclasses.replace(check, verdict=verdict, reason=reason, what=what) if check.verdict in BLAMED else check
        for check in checks
    )


def left_out(checks: Sequence[CheckResult]) -> str:
    """What was judged, beside `labs run`, of a milestone with checks that need the server's life; else nothing."""
    held = sum(check.verdict is Verdict.UNJUDGED and check.what == HELD for check in checks)
    passed = sum(check.verdict is Verdict.PASS for check in checks)
    if held == 0 or held + passed < len(checks):
        return ""
    needs = "1 check needs" if held == 1 else f"{held} checks need"
    return (f"{passed} of {len(checks)} checks passed. {needs} to end your server or to start a second one:\n"
            "not judged while labs run runs it.")


def _unfit(stage: Stage, vigil: Vigil, target: Target | AttachedTarget) -> Unfit | None:
    """What makes a verdict against the server worthless: a service that was not itself, or the loss of its keeper."""
    vigil.stop()
    found = stage.space.examine() or vigil.unfit
    if found is None and target.keeper_lost:
        return Unfit("", "keeper-lost", "the process of labs that watches over your server was killed, which ended "
                     "your server, too")
    if found is None and target.foreign:
        return Unfit("", "port-taken-by-other", f"another program than your server answered on its port {target.port}: "
                     "so nobody knows who was judged")
    return found


def _start(calls: Calls, cancel: Cancel) -> TargetInvalid | None:
    from orchestrator.targets.process import TargetInvalid

    try:
        calls.start_target(cancel)
    except TargetInvalid as error:
        return error
    return None


def _first(stage: Stage, milestone: Milestone, target: Target | AttachedTarget, nonce: str) -> Message:
    return {
        "v": VERSION,
        "nonce": nonce,
        "seed": stage.seed,
        "milestone": milestone.id,
        "target": {"url": target.url, "log_hint": "the server's output"},
        "services": stage.space.admin(),
        "control": {"port": stage.control_port},
        "limits": dict(LIMITS),
        "shuffle": stage.shuffle,
    }


def _tell(stage: Stage, milestone: str, checks: Sequence[Expected], events: Sequence[Message], nonce: str) -> None:
    """Tell the listener of the check that the last event finished, unless it blames a server that will be judged again.

    That is one which had to wait for a service to wake.
    """
    for check in checks:
        if check.id == events[-1].get("check"):
            result = so_far(check, events, nonce)
            if result is not None and not (result.verdict in BLAMED and stage.space.woken):
                stage.listener.on_check(milestone, result)


def _reason(judgement: Judgement) -> str:
    """The milestone's reason: that of the first check with the milestone's verdict."""
    if judgement.verdict is Verdict.PASS:
        return ""
    return next((check.reason for check in judgement.checks if check.verdict is judgement.verdict), "checks-broken")


def _message(judgement: Judgement, child: Child, *, died: bool, status: int) -> str:
    """What stands above the checks: why the run itself went wrong, or that the server ended."""
    from orchestrator.targets.process import describe_status

    if judgement.verdict is Verdict.ERROR and judgement.flaw:
        last = child.output().strip().splitlines()[-5:]
        return "\n".join([judgement.flaw, *last])
    if died and judgement.verdict is not Verdict.PASS:
        return f"your server ended by itself while it was checked ({describe_status(status)})"
    return ""
