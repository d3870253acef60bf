"""Before a failure is published: were the services, and our own links to them, all the time what they must be?

A service that somebody else restarted, that ran out of memory or that no longer answers makes a verdict about the
learner's server worthless. Our own faults restart services, too: what is compared is the last start that we did.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.engines.base import Engine
from orchestrator.environments.readiness import PATIENCE, answer_within
from orchestrator.environments.specs import node_names
from orchestrator.model import Endpoint, InstanceSpec, Ready, State
from orchestrator.services.base import Recipe


@dataclass(frozen=True, slots=True)
class Incarnation:
    """Which run of a service this is: in the engine's words (of all its nodes) and in the service's own."""

    engine: str
    service: str


@dataclass(frozen=True, slots=True)
class Unfit:
    """What was wrong with a service. ``reason`` is stable; ``message`` is for people."""

    service: str
    reason: str
    message: str


def observe(engine: Engine, recipe: Recipe, spec: InstanceSpec) -> Incarnation:
    """The incarnation now, to be compared later. Raises ``ConnectionError`` if the service is down."""
    nodes = [instance for name in node_names(spec) if (instance := engine.inspect(name)) is not None]
    if len(nodes) < len(node_names(spec)) or any(one.state is not State.RUNNING for one in nodes):
        raise ConnectionError(f"{recipe.title} is not running")
    return Incarnation(" ".join(one.incarnation for one in nodes), recipe.incarnation(spec.endpoint, spec.credentials))


def examine(
    engine: Engine, recipe: Recipe, spec: InstanceSpec, incarnation: Incarnation | None, link: Endpoint,
    *, patience: float = PATIENCE,
) -> Unfit | None:
    """What makes this service, or our link to it, unfit as a witness; ``None`` if nothing does.

    To be asked when the target is stopped, every fault healed and every link as new. ``patience``: seconds in which
    each must answer; the service may still be putting away what the stopped target left.
    """

    def found(reason: str, message: str) -> Unfit:
        return Unfit(spec.service, reason, f"{recipe.title} {message}")

    nodes = []
    for name in node_names(spec):
        instance = engine.inspect(name)
        if instance is None:
            return found("service-gone", "is gone; somebody removed it during the check")
        if instance.oom:
            return found("service-oom", "used more memory than its limit and was ended")
        if instance.state is not State.RUNNING:
            code = "" if instance.exit_code is None else f" with exit code {instance.exit_code}"
            return found("service-died", f"ended during the check{code}" if instance.state is State.EXITED
                         else f"is {instance.state}, and no check asked for that")
        nodes.append(instance.incarnation)
    if incarnation is None:
        return found("service-lost", "did not come back after a fault")
    if " ".join(nodes) != incarnation.engine:
        return found("service-restarted", "was restarted during the check, and not by labs")
    answer = answer_within(recipe, spec.endpoint, spec.credentials, patience + recipe.silent_for)
    if not isinstance(answer, Ready):
        return found("service-silent", f"no longer answers: {answer.why}")
    try:
        if recipe.incarnation(spec.endpoint, spec.credentials) not in (incarnation.service, ""):
            # The engine saw no new start: what it runs came up again by itself.
            return found("service-crashed", "crashed during the check and came back by itself; is there enough memory?")
    except Exception as error:  # a client library's own error is no answer either
        return found("service-silent", f"no longer answers: {error}")
    answer = answer_within(recipe, link, spec.credentials, patience)
    if not isinstance(answer, Ready):
        return found("link-broken", f"answers, but not through our own proxy: {answer.why}")
    return None
