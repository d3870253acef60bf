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

    assert (fresh.name("buyer"), fresh.integer(1, 1000), fresh.time()) == ("buyer-z2h2k3956s", 984, "2039-11-27T14:13:36Z")


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

    assert re.fullmatch(r"buyer-[a-z0-9]{10}", fresh.name("buyer"))
    assert all(one in fresh.text("buyer") for one in ("'", '"', "ž".upper(), "漢", "🎟"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time)
    assert datetime.fromisoformat(time) > datetime.now(UTC)
    assert sorted(fresh.shuffled(range(9))) == list(range(9))
    assert {fresh.integer(1, 3) for _ in range(100)} == {1, 2, 3}
