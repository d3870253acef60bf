"""mongodb/votes: whatever comes between two steps of a vote, a look, another vote, a deletion or a lost connection.

A vote stands still before each of its steps while another process votes, or while the check looks into MongoDB: a vote
that is read and written back, or counted apart from its voter, is found on any machine.
"""

from orchestrator.checks import Call, NoAnswer, expect, promises

CROWD = 10


@promises("votes-together", "vote-once")
def test_a_look_between_two_steps_of_a_vote(explore, server, reviewed, vote, votes, fresh, evidence):
    """Whenever somebody looks into MongoDB in the middle of a vote: `helpful` is the number of the voters."""
    old = [fresh.name("voter") for _ in range(2)]

    def look(voter, answers):
        def holds(case, _, seen):
            expect.equal(
                len(seen["voters"]),
                seen["helpful"],
                f"`helpful` of a review in MongoDB in the middle of a vote, beside its {len(seen['voters'])} voters",
                reason="counted-apart",
            )

        return explore.interleave(
            lambda case: vote(server, case, voter),
            votes,
            holds,
            prepare=lambda: reviewed(old),
            during="I looked into MongoDB",
            answers=answers,
        ).tried

    tried = 0
    for answers in (False, True):
        tried += look(fresh.name("voter"), answers) + look(old[0], answers)
    evidence(
        f"I looked into MongoDB before or after {tried} steps of a vote: `helpful` was the number of its voters"
    )


@promises("votes-at-once", "votes-together", "vote-once", "post-votes-200")
def test_a_vote_between_two_steps_of_another(explore, server, twin, reviewed, vote, votes, fresh, evidence):
    """Between any two steps of a vote another process counts one: both voters count; the same one counts once."""
    old = [fresh.name("voter")]

    def look(first, second, after, right):
        def holds(case, *answers):
            voters = [*old, *after]
            expect.equal(
                {"voters": sorted(voters), "helpful": len(voters)},
                votes(case),
                "a review in MongoDB that had one voter, after two votes at the same moment",
                reason="lost-vote" if len(after) == 2 else "voted-twice",
            )
            said = [expect.field(answer, "helpful", int, reason="answer-wrong") for answer in answers]
            expect.true(
                said in right,
                "`helpful` in the answers to two votes at the same moment, for a review that had one voter",
                reason="answer-wrong",
                expected=" or ".join(map(str, right)),
                seen=said,
            )

        def judge(case, *answers):
            if not any(isinstance(answer, NoAnswer) for answer in answers):
                for answer in answers:
                    expect.status(answer, 200, reason="vote-refused")
                holds(case, *answers)
            else:
                seen = votes(case)
                expect.equal(
                    len(seen["voters"]),
                    seen["helpful"],
                    "`helpful` of a review after two votes, beside its voters",
                    reason="counted-apart",
                )

        return explore.interleave(
            lambda case: vote(server, case, first),
            lambda case: vote(twin, case, second),
            judge,
            prepare=lambda: reviewed(old),
            during="another process was asked for a vote",
        ).tried

    one, two = fresh.name("voter"), fresh.name("voter")
    # Who was counted last was not alone; who looks again before the answer may see both.
    tried = look(one, two, [one, two], [[3, 3], [2, 3], [3, 2]])
    tried += look(one, one, [one], [[2, 2]]) + look(one, old[0], [one], [[2, 1], [2, 2]])
    case, crowd = reviewed(), [fresh.name("voter") for _ in range(CROWD)]
    path = f"/pages/{case[0]}/reviews/{case[1]}/votes"
    asked = [voter for voter in crowd for _ in range(2)]
    answers = server.parallel([Call("POST", path, json={"voter": voter}) for voter in asked], at_once=CROWD)
    for answer in answers:  # with so many, one may have to wait too long: that one is counted, or not
        expect.status(answer, 200, 503, reason="vote-refused")
    counted = {voter for voter, answer in zip(asked, answers, strict=True) if answer.status == 200}
    seen = votes(case)
    expect.at_least(1, len(counted), f"how many of {CROWD} voters were answered with 200", reason="vote-refused")
    expect.equal(
        [],
        sorted(counted - set(seen["voters"])),
        f"which of {CROWD} voters at once, who were answered with 200, MongoDB does not have",
        reason="lost-vote",
    )
    expect.equal(
        {"voters": sorted(set(seen["voters"]) & set(crowd)), "helpful": len(seen["voters"])},
        seen,
        f"a review in MongoDB after {CROWD} voters have voted twice each, {CROWD} at a time",
        reason="voted-twice",
    )
    evidence(
        f"a vote was counted before {tried} steps of another one, and {CROWD} voters came at once: all count once"
    )


@promises("post-votes-404", "votes-at-once", "vote-once", "read-is-now")
def test_what_goes_between_two_steps_of_a_vote(
    explore, server, twin, mongodb, reviewed, vote, votes, reviews_stored, fresh, evidence
):
    """Between two steps of a vote its review is deleted, or its other voter taken away: neither comes back."""

    def look(goes, holds, what, voter=""):
        return explore.interleave(
            lambda case: vote(server, case, voter or fresh.name("voter")),
            goes,
            holds,
            prepare=lambda: reviewed(["somebody"]),
            during=what,
        ).tried

    def deleted(case, answer, _):
        expect.equal(
            {},
            reviews_stored(case[0]),
            "the reviews of a page whose only one was deleted in the middle of a vote for it",
            reason="review-of-nothing",
        )
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 404, 200, reason="vote-refused")

    def taken_back(case, answer, _):
        seen = votes(case)
        expect.true(
            len(seen["voters"]) == seen["helpful"] <= 1 and "somebody" not in seen["voters"],
            "a review in MongoDB whose only voter somebody took away in the middle of another vote",
            reason="lost-vote",
            expected="at most one voter, the new one, and `helpful` is their number",
            seen=seen,
        )
        if not isinstance(answer, NoAnswer):
            expect.status(answer, 200, reason="vote-refused")
            expect.equal(
                1,
                seen["helpful"],
                "`helpful` of a review whose old voter somebody took away in the middle of a new vote",
                reason="lost-vote",
            )

    tried = look(lambda case: mongodb.delete("reviews", {"page": case[0]}), deleted, "its review was deleted")
    tried += look(
        lambda case: mongodb.change(
            "reviews", {"page": case[0]}, {"$pull": {"voters": "somebody"}, "$inc": {"helpful": -1}}
        ),
        taken_back,
        "another client took a voter away",
    )
    own = fresh.name("voter")

    def takes_his_place(case):
        mongodb.change("reviews", {"page": case[0]}, {"$pull": {"voters": "somebody"}, "$inc": {"helpful": -1}})
        return vote(twin, case, own)

    def once(case, *answers):
        seen = votes(case)
        expect.equal(
            {"voters": [own], "helpful": 1},
            seen,
            "a review in MongoDB whose only voter somebody took away in the middle of a vote, while another process counted the "
            "same vote: it has as many voters as before",
            reason="voted-twice",
        )
        for answer in answers:
            if not isinstance(answer, NoAnswer):
                expect.status(answer, 200, reason="vote-refused")

    tried += look(takes_his_place, once, "another client took a voter away, and another process counted the same vote", own)
    evidence(f"reviews and voters went before {tried} steps of a vote, and none came back")


@promises("vote-lost", "votes-together", "post-votes-503")
def test_a_vote_whose_connection_is_lost(explore, server, reviewed, vote, votes, recovered, fresh, evidence):
    """A vote whose connection breaks, also when MongoDB has counted it and not yet said so, counts once at most."""
    spare, voter = reviewed(), fresh.name("voter")

    def prepare():
        path = f"/pages/{spare[0]}/reviews/{spare[1]}/votes"
        expect.status(recovered(path, lambda: {"voter": voter}, 200), 200, reason="vote-refused")
        return reviewed()

    def holds(case, answer):
        seen = votes(case)
        expect.true(
            seen in ({"voters": [voter], "helpful": 1}, {"voters": [], "helpful": 0}),
            "a review in MongoDB after one vote whose connection was lost",
            reason="voted-twice",
            expected="one voter and helpful 1, or none and 0",
            seen=seen,
        )
        if isinstance(answer, NoAnswer) or answer.status in (500, 503):
            return
        expect.status(answer, 200, 503, reason="vote-refused")
        expect.equal(
            1,
            seen["helpful"],
            "`helpful` of a review in MongoDB after a vote that was answered with 200",
            reason="vote-not-stored",
        )
        expect.fields(answer, {"helpful": 1}, "the answer to the first vote for a review", reason="answer-wrong")

    tried = sum(
        explore.cut(
            lambda case: vote(server, case, voter), holds, answer=answer, prepare=prepare, services=("mongodb",)
        ).tried
        for answer in ("never", "lost")
    )
    prepare()  # so the next check, too, finds a server that has MongoDB
    evidence(
        f"{tried} connections to MongoDB were cut in the middle of a vote: none counts twice, and the answers were true"
    )
