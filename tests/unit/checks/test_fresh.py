"""Values that come from the seed."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from orchestrator.checks.fresh import Fresh


def sample(fresh: Fresh) -> list[object]:
    return [fresh.name("buyer"), fresh.text("buyer"), fresh.integer(1, 10**9), fresh.choice(range(10**9)),
            fresh.shuffled(range(50)), fresh.time(), fresh.token()]


def test_a_seed_can_be_replayed() -> None:
    """The same seed and check give the same values; another seed, milestone or check gives others, all of them."""
    values = sample(Fresh(7, "redis/hold/test_a"))

    assert sample(Fresh(7, "redis/hold/test_a")) == values
    for other in (Fresh(8, "redis/hold/test_a"), Fresh(7, "redis/expiry/test_a"), Fresh(7, "redis/hold/test_b")):
        assert [one for one, two in zip(sample(other), values, strict=True) if one == two] == []


def test_a_seed_means_the_same_on_every_machine() -> None:
    """A seed in a report can be replayed elsewhere: these values are pinned."""
    fresh = Fresh(7, "redis/hold/test_a")

    assert (fresh.name("buyer"), fresh.integer(1, 1000), fresh.time()) == ("Vikavazozo-nidopi", 180, "2030-03-22T16:19:23Z")


def test_values_are_not_met_twice() -> None:
    """Names, texts, tokens and times of many checks in one run are all different."""
    checks = [Fresh(7, f"a/b/test_{number}") for number in range(20)]

    for make in (lambda f: f.name("x"), lambda f: f.text("x"), lambda f: f.token(), lambda f: f.time()):
        values = [make(fresh) for fresh in checks for _ in range(50)]
        assert len(set(values)) == len(values)


def test_forms() -> None:
    """Names are letters, digits and a dash; texts are not; times are RFC 3339, whole seconds, and yet to come."""
    fresh = Fresh(7, "a/b/test_c")
    time = fresh.time()

    names = [fresh.name("buyer") for _ in range(50)]
    assert all(re.fullmatch(r"[A-Za-z]+(-[A-Za-z0-9]+)+", name) for name in names)
    assert not any("buyer" in name for name in names)
    assert len({re.sub(r"[a-z]+", "a", re.sub(r"[0-9]+", "1", name)) for name in names}) >= 4
    assert all(one in fresh.text("buyer") for one in ("'", '"', "ž".upper(), "漢", "🎟"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
    assert datetime.fromisoformat(time) > datetime.now(UTC)
    assert sorted(fresh.shuffled(range(9))) == list(range(9))
    assert {fresh.integer(1, 3) for _ in range(100)} == {1, 2, 3}
