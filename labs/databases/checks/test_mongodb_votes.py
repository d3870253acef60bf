"""mongodb/votes: who found a review helpful is counted once, letter by letter, for the review that is named."""

import json
from urllib.parse import quote

from orchestrator.checks import expect, promises


@promises("vote-once", "votes-together", "post-votes-200", "document-of-others", "get-reviews-200")
def test_a_voter_counts_once(server, mongodb, reviewed, vote, counted, votes, fresh, evidence):
    """A vote is one more voter and one more `helpful`; the same voter again changes nothing; votes of others count."""
    old = [fresh.name("voter") for _ in range(3)]
    case, other = reviewed(old), fresh.name("voter")
    # What another client counts may be a long.
    mongodb.change("reviews", {"page": case[0]}, [{"$set": {"helpful": {"$toLong": "$helpful"}}}])

    def voted(voter, voters, what):
        answer = vote(server, case, voter)
        expect.status(answer, 200, reason="vote-refused")
        counted(case, voters, what, "voted-twice" if voter in old else "vote-not-stored")
        said = expect.field(answer, "helpful", int, reason="answer-wrong")
        expect.equal(len(voters), said, f"`helpful` in the answer to the vote, {what}", reason="answer-wrong")

    voted(old[1], old, "that had 3 voters, after one of them has voted again")
    voted(other, [*old, other], "that had 3 voters, after a fourth")
    voted(other, [*old, other], "that had 4 voters, after the fourth has voted again")
    (item,) = expect.field(server.get(f"/pages/{case[0]}/reviews"), "items", list, reason="list-shape") or [{}]
    expect.fields(
        item,
        {"review": case[1], "helpful": 4},
        "the review that GET lists after its fourth vote",
        reason="answer-wrong",
    )

    mongodb.change("reviews", {"page": case[0]}, {"$pull": {"voters": other}, "$inc": {"helpful": -1}})
    voted(other, [*old, other], "whose fourth voter somebody had taken away, when he votes again")
    kinds = mongodb.aggregate(
        "reviews",
        [
            {"$match": {"page": case[0]}},
            {
                "$project": {
                    "_id": 0,
                    "helpful": {"$type": "$helpful"},
                    "voters": {"$type": "$voters"},
                    "each": {"$map": {"input": "$voters", "in": {"$type": "$$this"}}},
                }
            },
        ],
    )[0]
    expect.true(
        kinds["helpful"] in ("int", "long") and set(kinds["each"]) == {"string"},
        "the types of `helpful` and of each of `voters` after votes",
        reason="schema-wrong-type",
        expected="int or long, and string",
        seen=kinds,
    )
    made = server.post(
        f"/pages/{case[0]}/reviews", json={"author": fresh.name("author"), "stars": 4, "text": fresh.text("review")}
    )
    expect.status(made, 201, reason="review-refused")
    own = (case[0], expect.field(made, "review", str, reason="review-refused"))
    expect.status(vote(server, own, other), 200, reason="vote-refused")
    counted(own, [other], "that POST had made, after its first vote", "vote-not-stored")
    counted(case, [*old, other], "after a vote for another one of the same page", "another-review-voted")
    evidence(f"MongoDB has {votes(case)['helpful']} voters of a review of four who voted eight times")


@promises(
    "vote-voter",
    "post-votes-422",
    "bad-body",
    "more-fields",
    "field-names",
    "text-kept",
    "text-nul",
    "no-operators",
    "votes-together",
)
def test_what_is_a_voter(server, mongodb, edges, reviewed, vote, counted, votes, smuggled, fresh, evidence):
    """A voter is a text, letter by letter, also one full of `$`; what is no text is refused and counts nobody."""
    case, voters, tried = reviewed(), [], 0
    path, template = f"/pages/{case[0]}/reviews/{case[1]}/votes", "/pages/{page}/reviews/{review}/votes"

    def taken(answer, voter, what):
        expect.true(
            answer.status == 200,
            f"the answer to a vote {what}",
            reason="voter-refused",
            expected="200",
            seen=f"{answer.status} {answer.text}",
        )
        voters.append(voter)
        counted(case, voters, f"after a vote {what}", "voter-changed")

    def refused(body, what):
        expect.status(server.post(path, json=body), 422, reason="bad-body-accepted", code="invalid")
        counted(case, voters, f"after a vote {what}, which was refused", "bad-body-stored")

    for edge in edges.body("POST", template):
        tried += 1
        if not edge.allowed:
            refused(edge.within({}), f"with `voter`: {edge.why}")
        elif edge.value not in voters:
            taken(
                server.post(path, json={**edge.within({}), fresh.token(): "one field more"}),
                edge.value,
                f"with `voter`: {edge.why}",
            )
    name = fresh.name("voter")
    for field, others in edges.misnamed("POST", template).items():
        for one in others:
            refused({one: name}, f"with `{one}` for `{field}`")
    for body in ({}, {"voter": ["a"]}, {"voter": {"name": "a"}}, ["voter"]):
        refused(body, f"with the body {json.dumps(body)}")
    for voter in (
        name,
        name.swapcase(),
        f"{name} ",
        f" {name}",
        f"Zoé {name}",
        f"Zoe\u0301 {name}",
        "$author",
        "$$ROOT",
        "$text",
        "a.b",
        "$ne",
        "voters",
        "{$ne: 1}",
        "/./",
    ):
        tried += 1
        taken(vote(server, case, voter), voter, f"by {expect.shown(voter)}")
    mark = fresh.token()
    with mongodb.operations() as seen:
        for operator in ("$ne", "$gt", "$regex"):
            refused({"voter": {operator: mark}}, f"by {{{operator}: {mark}}}")
            elsewhere = quote(json.dumps({operator: mark}), safe="")
            for where in (f"/pages/{case[0]}/reviews/{elsewhere}/votes", f"/pages/{elsewhere}/reviews/{case[1]}/votes"):
                expect.status(
                    server.post(where, json={"voter": name}), 404, reason="operator-accepted", code="not_found"
                )
    expect.equal(
        [], smuggled(seen, mark), "which operators of a client your server sent to MongoDB", reason="operator-accepted"
    )
    own = fresh.name("voter")
    answer = server.post(
        path,
        json={"helpful": 99, "voters": [], "$set": {"helpful": 99}, "$inc": {"helpful": 7}, "page": mark, "voter": own},
    )
    taken(answer, own, "with fields that nobody asked for")
    evidence(f"{tried} voters were counted letter by letter, or refused; MongoDB has {votes(case)['helpful']}")


@promises("post-votes-404", "unknown-id", "id-spelled", "vote-once")
def test_a_vote_for_what_is_not_there(
    server, mongodb, reviewed, vote, counted, spellings, fresh, evidence
):
    """A vote for a review that is not there, or not one of this page, is 404, and nothing is counted or made."""
    case, other = reviewed(), reviewed()
    page, gone = case[0], reviewed()
    mongodb.delete("reviews", {"page": gone[0]})
    before, tried = mongodb.count("reviews"), 0
    wrong = [
        (page, id_)
        for id_ in (
            "none",
            "0",
            "-1",
            "z" * 24,
            case[1][:-1],
            f"{case[1]}0",
            "f" * 24,
            "twelve bytes",
            "x" * 1_000,
            "summary",
            "[object Object]",
        )
    ]
    for where in (*wrong, gone, (page, other[1]), (fresh.name("none").lower(), case[1]), (other[0], case[1])):
        answer = vote(server, (where[0], quote(where[1], safe="")), fresh.name("voter"))
        expect.status(answer, 404, reason="unknown-id-answer", code="not_found")
        tried += 1
    for one in (case, other):
        counted(one, [], "after votes for other ones, or under another page", "another-review-voted")
    voters = []
    for text in spellings(case[1]):
        voters.append(fresh.name("voter"))
        answer = vote(server, (page, quote(text, safe="")), voters[-1])
        expect.status(answer, 404, 200, reason="unknown-id-answer")
        if answer.status == 404:
            voters.pop()
        what = f"after a vote for {expect.shown(text)}, another spelling of its id"
        counted(case, voters, what, "id-spelled-otherwise")
        tried += 1
    expect.equal(
        before,
        mongodb.count("reviews"),
        "how many reviews MongoDB has after votes for reviews that are not there",
        reason="review-of-nothing",
    )
    evidence(f"{tried} votes for other spellings, or for what is not there: none made a review, none counted elsewhere")
