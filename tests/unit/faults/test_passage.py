"""What each fault of a link plans, without a socket: which bytes go on, and when."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.faults.passage import LEAST, MOST_HERE, MOST_IN_ALL, Passage, Store
from orchestrator.faults.toxics import KINDS, Toxic, kind_of, numbers_of


def toxic(kind: str, name: str = "1", **numbers: float) -> Toxic:
    return Toxic(name, kind, "downstream", numbers_of(kind_of(kind), numbers))


def passage(*toxics: Toxic, store: Store | None = None) -> Passage:
    return Passage(toxics, 0.0, store or Store(), Random(1))


def run(one: Passage, until: float) -> list[tuple[float, bytes, str]]:
    """Everything that goes on up to a moment, as the loop would do it: looked at only when the passage says so."""
    found: list[tuple[float, bytes, str]] = []
    now = one.next()
    while now is not None and now <= until:
        if ending := one.over(now):
            return [*found, (now, b"", ending)]
        while (due := one.pop(now)) is not None:
            found.append((now, *due))
            if due[1]:
                return found
        after = one.next()
        assert after is None or after > now, "the loop would spin"
        now = after
    return found


def test_latency_moves_everything_by_the_same_time() -> None:
    """Chunks overlap on their way: two that came one after the other do not wait for each other."""
    one = passage(toxic("latency", ms=300))

    one.take(b"a", 0.0)
    one.take(b"b", 0.1)
    one.finish(0.2)

    assert run(one, 9.0) == [(0.3, b"a", ""), (0.4, b"b", ""), (0.4, b"", "fin")]


def test_jitter_is_within_its_bounds_and_keeps_the_order() -> None:
    """A stream is a stream: what came later never overtakes."""
    one = passage(toxic("latency", ms=100, jitter=50))

    for number in range(50):
        one.take(bytes([number]), number / 1000)
    found = run(one, 9.0)

    assert [data[0] for _, data, _ in found] == list(range(50))
    assert all(0.05 <= at - data[0] / 1000 <= 0.2 for at, data, _ in found)
    assert len({round(at - data[0] / 1000, 3) for at, data, _ in found}) > 3


def test_bandwidth_is_a_steady_trickle() -> None:
    """10 KB at 10 KB/s take a second, and no piece is more than a twentieth of a second of it."""
    one = passage(toxic("bandwidth", rate=10))

    one.take(bytes(10 * 1024), 0.0)
    found = run(one, 9.0)

    assert found[-1][0] == pytest.approx(1.0)
    assert max(len(data) for _, data, _ in found) == 512


def test_a_narrow_link_does_not_save_up() -> None:
    """After a silence the rate is the same as before it."""
    one = passage(toxic("bandwidth", rate=1))

    one.take(bytes(512), 10.0)

    assert run(one, 99.0)[-1][0] == pytest.approx(10.5)


def test_the_slicer_cuts_into_pieces() -> None:
    """Each by itself, so that a reader that expects whole messages stumbles."""
    one = passage(toxic("slicer", bytes=2, ms=10))

    one.take(b"abcde", 0.0)

    assert run(one, 9.0) == [(0.0, b"ab", ""), (0.01, b"cd", ""), (0.02, b"e", "")]


def test_timeout_lets_nothing_pass_and_ends_the_connection() -> None:
    """With 0 it never ends, and what waited goes on once the fault is gone."""
    ends, stays = passage(toxic("timeout", ms=500)), passage(toxic("timeout"))

    for one in (ends, stays):
        one.take(b"a", 0.1)

    assert run(ends, 9.0) == [(0.5, b"", "close")]
    assert run(stays, 9.0) == []

    stays.change((), 10.0)

    assert run(stays, 19.0) == [(10.0, b"a", "")]


def test_reset_peer_resets_after_its_time() -> None:
    """Until then everything passes."""
    one = passage(toxic("reset_peer", ms=500))

    one.take(b"a", 0.1)

    assert one.pop(0.1) == (b"a", "")
    assert run(one, 9.0) == [(0.5, b"", "reset")]


def test_limit_data_ends_the_connection_in_the_middle_of_a_chunk() -> None:
    """What passed before the fault was there does not count."""
    one = passage()
    one.take(b"before", 0.0)
    assert one.pop(0.0) == (b"before", "")

    one.change([toxic("limit_data", bytes=5)], 1.0)
    one.take(b"abc", 1.0)
    one.take(b"def", 1.0)

    assert run(one, 9.0) == [(1.0, b"abc", ""), (1.0, b"de", "close")]


def test_slow_close_delays_the_end_only() -> None:
    """Data passes as it comes."""
    one = passage(toxic("slow_close", ms=700))

    one.take(b"a", 0.0)
    one.finish(0.0)

    assert run(one, 9.0) == [(0.0, b"a", ""), (0.7, b"", "fin")]


def test_faults_add_up() -> None:
    """As in a row of them."""
    one = passage(toxic("latency", ms=100), toxic("latency", "2", ms=50), toxic("slicer", bytes=1, ms=10))

    one.take(b"ab", 0.0)

    assert [(round(at, 6), data) for at, data, _ in run(one, 9.0)] == [(0.15, b"a"), (0.16, b"b")]


def test_a_full_passage_reads_no_more() -> None:
    """Its writer waits, as for a slow reader; what goes on makes room."""
    one = passage(toxic("latency", ms=100))

    while size := one.room():
        one.take(bytes(size), 0.0)

    assert one.next() == 0.1
    assert sum(len(data) for _, data, _ in run(one, 0.1)) == MOST_HERE
    assert one.room() > 0


def test_all_passages_together_are_bounded() -> None:
    """When all is taken, an empty passage still reads a little, so that none starves."""
    store = Store()
    full = [passage(toxic("timeout"), store=store) for _ in range(MOST_IN_ALL // MOST_HERE)]
    for one in full:
        while size := one.room():
            one.take(bytes(size), 0.0)
    late = passage(toxic("timeout"), store=store)

    assert late.room() == LEAST
    late.take(bytes(LEAST), 0.0)
    assert late.room() == 0

    for one in (*full, late):
        one.clear()
    assert store.held == 0


SHAPES = st.sampled_from([toxic("latency", ms=20, jitter=10), toxic("bandwidth", rate=1), toxic("slicer", bytes=3, ms=1),
                          toxic("slow_close", ms=9), toxic("timeout")])


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=400), st.lists(SHAPES, max_size=3, unique=True)), max_size=12))
def test_whatever_is_added_and_removed_nothing_is_lost_or_reordered(story: Sequence[bytes | list[Toxic]]) -> None:
    """Bytes come in and faults come and go, a moment apart: in the end all went on, once, in order."""
    one, came, went, now = passage(), b"", b"", 0.0
    for part in story:
        now += 0.01
        if isinstance(part, bytes):
            came += part
            one.take(part, now)
        else:
            one.change(part, now)
        while (due := one.pop(now)) is not None:
            went += due[0]
    one.finish(now)
    one.change((), now)

    rest = run(one, now)

    assert went + b"".join(data for _, data, _ in rest) == came
    assert rest[-1][2] == "fin"
    assert one.idle


def test_numbers_are_asked_for_and_bounded() -> None:
    """A mistake is said with what the kind takes."""
    assert numbers_of(kind_of("reset-peer"), {}) == {"ms": 0.0}
    for kind, numbers, word in (("latency", {}, "needs --ms"), ("latency", {"ms": -1.0}, "from 0"),
                                ("pause", {"ms": 1.0}, "no --ms"), ("latency", {"ms": 1.0, "jitter": 2.0}, "jitter")):
        with pytest.raises(UsageError, match=word) as caught:
            numbers_of(kind_of(kind), numbers)
        assert caught.value.hint
    with pytest.raises(UsageError, match="did you mean latency"):
        kind_of("latenci")


def test_every_kind_says_what_it_does() -> None:
    """In one sentence that fits beside its name on 80 columns."""
    assert all(0 < len(kind.about) <= 66 and "." not in kind.about for kind in KINDS.values())
