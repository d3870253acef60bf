"""Plans: pure decisions about what to do, each with its cause."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from support.memory import MemoryEngine, MemoryRecipe

from orchestrator.environments.execute import execute
from orchestrator.environments.plan import plan_break, plan_clean, plan_reset, plan_start, plan_stop
from orchestrator.model import Credentials, Instance, InstanceSpec, Owner, State

OWNER = Owner("databases-1", "0", "here", "lease", 1, 1.0, "environment")


def spec(service: str, port: int = 5432, config: str = "c1") -> InstanceSpec:
    return InstanceSpec(service, f"labs-databases-1-{service}", "databases", "databases", OWNER,
                        Credentials("a", "b", "c", "d", "e"), port, True, config)


def verbs(plan: object) -> list[str]:
    return [operation.verb for operation in plan.operations]  # type: ignore[attr-defined]


def test_a_new_service_is_created_started_awaited_and_kept_last() -> None:
    """The mark that keeps an environment is made after everything is ready, never before."""
    plan = plan_start([spec("postgres"), spec("redis", 6379)], [], kept=False)

    assert verbs(plan) == ["create", "start", "wait", "prepare", "create", "start", "wait", "prepare", "keep"]
    assert str(plan).splitlines()[0] == (
        "create                postgres       labs-databases-1-postgres  (it is not there)")


def test_what_runs_is_left_alone() -> None:
    """Starting twice changes nothing."""
    plan = plan_start([spec("postgres")], [Instance(spec("postgres"), State.RUNNING)], kept=True)

    assert plan.changes == ()


def test_a_stopped_service_is_started_not_made_anew() -> None:
    """Data survives because the instance does."""
    plan = plan_start([spec("postgres")], [Instance(spec("postgres"), State.EXITED)], kept=True)

    assert verbs(plan) == ["start", "wait", "prepare"]


def test_a_paused_service_is_resumed() -> None:
    """A pause that somebody left behind is undone."""
    plan = plan_start([spec("postgres")], [Instance(spec("postgres"), State.PAUSED)], kept=True)

    assert verbs(plan) == ["unpause", "wait", "prepare"]


def test_a_service_with_other_settings_is_made_anew_with_its_data() -> None:
    """The removal in between never takes the data."""
    plan = plan_start([spec("postgres", config="c2")], [Instance(spec("postgres"), State.RUNNING)], kept=True)

    assert verbs(plan) == ["stop", "remove", "create", "start", "wait", "prepare"]
    assert not any(operation.data for operation in plan.operations)


def test_only_data_left_is_taken_up_again() -> None:
    """A container that somebody removed by hand comes back on its data."""
    plan = plan_start([spec("postgres")], [Instance(spec("postgres"), State.MISSING)], kept=True)

    assert verbs(plan) == ["create", "start", "wait", "prepare"]


def test_stop_touches_what_runs_and_keeps_data() -> None:
    """Stopped services are not stopped again."""
    plan = plan_stop([Instance(spec("postgres"), State.RUNNING), Instance(spec("redis"), State.EXITED)])

    assert [str(operation).split()[:2] for operation in plan.operations] == [["stop", "postgres"]]


def test_reset_deletes_data_and_runs_again_what_ran() -> None:
    """A stopped service is emptied and stays stopped."""
    running, stopped = spec("postgres"), spec("redis", 6379)
    plan = plan_reset([Instance(running, State.RUNNING), Instance(stopped, State.EXITED)],
                      {running.name: running, stopped.name: stopped})

    assert [[operation.verb for operation in chain] for chain in plan.chains] == [
        ["remove", "create", "start", "wait", "prepare"], ["remove"]]
    assert plan.chains[0][0].data


def test_clean_takes_the_mark_away_last() -> None:
    """If it is interrupted, what is left is still known as kept."""
    plan = plan_clean([Instance(spec("postgres"), State.RUNNING)], ["databases-1"])

    assert verbs(plan) == ["remove", "unkeep"]


states = st.sampled_from([None, State.RUNNING, State.PAUSED, State.EXITED, State.MISSING])


@given(states, states, st.booleans(), st.sampled_from(["c1", "c2"]), st.booleans())
def test_a_plan_carried_out_leaves_nothing_to_do(
    first: State | None, second: State | None, kept: bool, config: str, moved: bool
) -> None:
    """Carry a plan out, observe, plan again: no changes. For every state two services can be in."""
    engine = MemoryEngine()
    desired = [spec("postgres", 5433 if moved else 5432, config), spec("redis", 6379, config)]
    for service, state, port in (("postgres", first, 5432), ("redis", second, 6379)):
        if state is None:
            continue
        found = spec(service, port)
        engine.data[found.name] = found
        if state is not State.MISSING:
            engine.instances[found.name] = Instance(found, state)
    if kept:
        engine.keep("databases-1", user="0", installation="here")

    def plan() -> object:
        observed = engine.list(user="0", installation="here")
        return plan_start(desired, observed,
                          kept="databases-1" in engine.kept(user="0", installation="here"))

    recipes = {name: MemoryRecipe(name, 1) for name in ("postgres", "redis")}
    failures = execute(plan(), engine=engine, recipes=recipes, user="0", installation="here")  # type: ignore[arg-type]

    assert failures == ()
    assert plan().changes == ()  # type: ignore[attr-defined]
    assert all(dataclasses.replace(i.spec, config="c1").name in engine.data for i in engine.instances.values())


def test_a_fault_is_done_to_what_runs() -> None:
    """What is down already stays as it is."""
    running, ended = Instance(spec("postgres"), State.RUNNING), Instance(spec("redis", 6379), State.EXITED)

    assert verbs(plan_break([running, ended], "kill")) == ["kill"]


def test_a_link_in_front_of_a_service_is_a_reason_to_make_it_anew_with_its_data() -> None:
    """And so is that there is none any more; where it listens for its clients stays."""
    plain = spec("postgres")
    behind = dataclasses.replace(plain, port=20000, links={"": 5432})

    there = plan_start([behind], [Instance(plain, State.RUNNING)], kept=True)
    back = plan_start([plain], [Instance(behind, State.EXITED)], kept=True)

    assert verbs(there)[:4] == verbs(back)[:4] == ["stop", "remove", "create", "start"]
    assert not any(operation.data for operation in (*there.operations, *back.operations))
    assert "a link stands in front of it now" in str(there)
    assert "no link stands in front of it any more" in str(back)
