"""What every engine promises of what it has on record: what a removal leaves, whose it is, what is kept or old."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.bench import Bench, found

from orchestrator.engines import folders, spec_json
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Instance, State

# --- remove ----------------------------------------------------------------------------------------------------------


def test_removed_without_its_data_it_is_missing(bench: Bench) -> None:
    """`remove` leaves the data: the instance is listed as `MISSING` with its spec, and a new one gets the data."""
    spec = bench.up()
    bench.write(spec, "still here")

    bench.engine.remove(spec.name, data=False)

    assert found(bench, spec) == Instance(spec, State.MISSING)
    assert bench.listed() == {spec.name: "missing"}

    bench.up(spec)

    assert bench.read(spec) == "still here"
    assert bench.listed() == {spec.name: "running"}


@pytest.mark.parametrize("service", ["mongodb", "postgres", "redis"])
def test_removed_with_its_data_nothing_is_left(bench: Bench, service: str) -> None:
    """`remove` with data, of a running instance: it is gone at once, and a new one of that name is empty."""
    spec = bench.up(bench.spec(service))
    if service == "redis":
        bench.write(spec, "gone")

    bench.engine.remove(spec.name, data=True)

    assert bench.engine.inspect(spec.name) is None
    assert bench.listed() == {}

    again = dataclasses.replace(spec, credentials=bench.recipe(service).credentials())
    bench.up(again)

    if service == "redis":
        assert bench.read(again) is None


def test_data_that_is_not_to_be_kept_goes_with_its_instance(bench: Bench) -> None:
    """Without `keep_data` even a plain `remove` leaves nothing."""
    spec = bench.up(bench.spec(keep_data=False))

    bench.engine.remove(spec.name, data=False)

    assert bench.engine.inspect(spec.name) is None
    assert bench.listed() == {}


def test_missing_data_can_be_removed(bench: Bench) -> None:
    """What is `MISSING` goes by `remove` with data."""
    spec = bench.created()
    bench.engine.remove(spec.name, data=False)

    bench.engine.remove(spec.name, data=True)

    assert bench.listed() == {}


def test_removing_nothing_is_harmless(bench: Bench) -> None:
    """`remove` of an unknown name, and of one that is gone: nothing happens."""
    spec = bench.created()
    for _ in range(2):
        bench.engine.remove(spec.name, data=True)
    bench.engine.remove("labs-nobody-knows-redis", data=True)

    assert bench.engine.inspect("labs-nobody-knows-redis") is None


def test_four_removals_at_once_all_succeed(bench: Bench) -> None:
    """Removals of one instance may race each other, as a sweep and a `clean` do: each returns when it is gone."""
    spec = bench.up()

    def remove(_: int) -> Instance | None:
        bench.engine.remove(spec.name, data=True)
        return bench.engine.inspect(spec.name)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(remove, range(4))) == [None] * 4


# --- list ------------------------------------------------------------------------------------------------------------


def test_a_list_has_only_what_was_asked_for(bench: Bench) -> None:
    """`list` is by owner; environment and lease narrow it. What belongs to others is never in it."""
    other = f"{bench.environment}-b"
    mine = bench.created()
    second = bench.created(bench.spec(environment=other, lease="lease-2"))
    theirs = bench.created(bench.spec(environment=f"{bench.environment}-c", installation=bench.foreign))

    assert bench.listed() == {mine.name: "exited", second.name: "exited"}
    assert bench.listed(environment=other) == {second.name: "exited"}
    assert bench.listed(lease="lease-1") == {mine.name: "exited"}
    assert bench.listed(environment=other, lease="lease-1") == {}
    assert bench.engine.list(user=f"not-{bench.user}", installation=bench.installation) == []
    assert [one.spec for one in bench.engine.list(user=bench.user, installation=bench.foreign)] == [theirs]


def test_a_recreated_instance_belongs_to_its_new_lease(bench: Bench) -> None:
    """Data made under an old lease, used by a new instance, is not listed under the old one: a sweep would take it."""
    old = bench.created()
    bench.engine.remove(old.name, data=False)
    new = bench.created(dataclasses.replace(old, owner=dataclasses.replace(old.owner, lease="lease-2")))

    assert bench.listed(lease="lease-1") == {}
    assert bench.listed(lease="lease-2") == {new.name: "exited"}


def test_an_unknown_name_is_nothing(bench: Bench) -> None:
    """`inspect` says `None`, `logs` are empty, and `start` says that there is nothing to start."""
    assert bench.engine.inspect("labs-nobody-knows-redis") is None
    assert bench.engine.logs("labs-nobody-knows-redis") == ""
    with pytest.raises(EnvironmentFault):
        bench.engine.start("labs-nobody-knows-redis")


# --- kept environments -----------------------------------------------------------------------------------------------


def test_the_mark_of_a_kept_environment(bench: Bench) -> None:
    """`keep` and `unkeep` may each come twice; a mark is its owner's alone and is no instance."""
    other = f"{bench.environment}-b"
    mine = {"user": bench.user, "installation": bench.installation}
    for environment in (bench.environment, bench.environment, other):
        bench.engine.keep(environment, **mine)

    assert bench.engine.kept(**mine) == {bench.environment, other}
    assert bench.engine.kept(user=bench.user, installation=bench.foreign) == frozenset()
    assert bench.listed() == {}

    bench.engine.unkeep(other, user=bench.user, installation=bench.foreign)
    assert bench.engine.kept(**mine) == {bench.environment, other}

    for _ in range(2):
        bench.engine.unkeep(bench.environment, **mine)
    assert bench.engine.kept(**mine) == {other}


# --- what an older version made --------------------------------------------------------------------------------------

FIRST = {"service", "name", "name_given", "lab", "owner", "credentials", "port", "keep_data", "config"}
"""What the first version's specs had. A spec that lacks all that came later must stay a spec."""


def test_what_an_older_version_made_is_still_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its objects say less of themselves: they are listed, started, stopped and removed all the same."""
    whole = spec_json.encode
    monkeypatch.setattr(spec_json, "encode", lambda spec: {
        name: value for name, value in whole(spec).items() if name in FIRST})
    monkeypatch.setattr(folders, "encode", spec_json.encode)
    spec = bench.up()
    bench.write(spec, "old")
    assert FIRST < whole(spec).keys()
    monkeypatch.undo()

    assert bench.engine.list(user=bench.user, installation=bench.installation) == [found(bench, spec)]
    assert found(bench, spec).spec == spec
    bench.engine.stop(spec.name)
    bench.start(spec)
    assert bench.read(spec) == "old"
    bench.engine.remove(spec.name, data=False)
    bench.up(spec)
    assert bench.read(spec) == "old"
    bench.engine.remove(spec.name, data=True)
    assert bench.listed() == {}
