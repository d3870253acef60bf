"""postgres/isolation: what PostgreSQL itself ends is tried again, at a statement and at the COMMIT."""

import pytest

from orchestrator.checks import expect, promises

# What PostgreSQL says to a transaction that it ends so that another one can go on: SQLSTATE, text, reason.
ENDED = (
    ("40P01", "deadlock detected", "deadlock-not-tried-again"),
    ("40001", "could not serialize access due to concurrent update", "serialization-not-tried-again"),
)


@pytest.fixture
def tried_again(server, trap, met, sale_with_key, left):
    """`tried_again(place, ended, when, reason, after, at_commit=False)`: a sale whose transaction PostgreSQL ends once is made.

    It ends at a write into this table, or at the COMMIT after it. `when` and `after` are for the words of a failure.
    """

    def look(place, ended, when, reason, after, at_commit=False):
        body, headers = sale_with_key()
        tries = trap(place, body["buyer"] if place == "buyers" else body["event"], *ended, most=1, at_commit=at_commit)
        answer = server.post("/orders", json=body, headers=headers)
        met(tries, answer, place)
        expect.true(
            answer.status == 201,
            f"the answer to a sale {when}; a second time is free",
            reason=reason,
            expected="201: the whole sale is tried again",
            seen=f"{answer.status} after {tries()} time(s)",
        )
        expect.equal(
            {"balance": 700, "orders": 1, "tickets": 1},
            left(body["event"], body["buyer"]),
            f"what PostgreSQL has of a sale for 300 cents that was tried again after {after}",
            reason="partial-sale",
        )

    return look


@promises("allowed-sale-made")
def test_what_postgresql_ends_is_tried_again(tried_again, evidence):
    """A sale that PostgreSQL ends because of a deadlock, or because it could not serialize it, is tried again, and made."""
    for state, words, reason in ENDED:
        for place in ("buyers", "orders", "tickets"):
            when = f"whose transaction ended with PostgreSQL's error {state} (`{words}`) when it wrote into {place} for the first time"
            tried_again(place, (state, words), when, reason, f"the error {state}")
    evidence(
        "six sales met a deadlock or a serialization failure, at buyers, orders and tickets: each was tried again and is "
        "there once"
    )


@promises("allowed-sale-made")
def test_a_commit_is_tried_again(tried_again, evidence):
    """A sale whose COMMIT PostgreSQL refuses because of another transaction is tried again, and made."""
    for state, words, _ in ENDED:
        when = (
            f"whose statements were all done, and whose COMMIT PostgreSQL refused for once, with its error {state} (`{words}`)"
        )
        after = f"{state} at its COMMIT"
        tried_again("tickets", (state, words), when, "commit-not-tried-again", after, at_commit=True)
    evidence(f"PostgreSQL refused the COMMIT of {len(ENDED)} sales once each: each was tried again and is there once")
