"""mongodb/store: a note is a document, found by an index."""

from orchestrator.checks import expect


def test_a_note_is_kept(server, mongodb, fresh, evidence):
    """A note that the API makes is one document, and still there after a restart of your server."""
    text = fresh.token()
    expect.status(server.post("/notes", json={"text": "the first"}), 201, reason="create-refused")
    answer = server.post("/notes", json={"text": text})
    expect.status(answer, 201, reason="create-refused")
    code = expect.field(answer, "code", str, reason="answer-wrong")
    expect.equal(text, expect.field(answer, "text", str, reason="answer-wrong"), "the text that POST /notes answers",
                 reason="answer-wrong")
    expect.equal([{"code": code}], mongodb.find("notes", {"text": text}, fields=["code"]),
                 f"the documents with the text {text}", reason="not-stored")
    server.restart()
    after = server.get(f"/notes/{code}")
    expect.status(after, 200, reason="answer-wrong")
    seen = [expect.field(after, name, str, reason="answer-wrong") for name in ("code", "text")]
    expect.equal([code, text], seen, "the same note after a restart", reason="answer-wrong")
    evidence("MongoDB holds one document for the new note")


def test_a_note_is_found_by_an_index(server, mongodb, fresh, evidence):
    """Another client's note is shown, and MongoDB read that document and no other."""
    code, text = fresh.token(), fresh.token()
    mongodb.plant("notes", *({"code": fresh.token(), "text": "other"} for _ in range(50)), {"code": code, "text": text})
    with mongodb.operations() as seen:
        answer = server.get(f"/notes/{code}")
    expect.status(answer, 200, reason="not-stored")
    expect.equal(text, expect.field(answer, "text", str, reason="answer-wrong"), "the text of another client's note",
                 reason="not-stored")
    scans = [one.plan for one in seen.of(collection="notes") if one.scans]
    expect.equal([], scans, "the operations that read the whole collection", reason="no-index")
    mongodb.change("notes", {"code": code}, {"$set": {"text": code}})
    expect.equal(code, expect.field(server.get(f"/notes/{code}"), "text", str, reason="answer-wrong"),
                 "the text of the note after another client changed it", reason="not-stored")
    evidence(f"MongoDB saw {seen.calls} operation")


def test_what_is_no_note(server, fresh):
    """A code that nobody has is 404; a body that is no note is 422; the server still runs."""
    expect.status(server.get(f"/notes/{fresh.token()}"), 404, reason="unknown-code", code="not_found")
    for body in ("{", "[]", "{}", '{"text": 7}'):
        expect.status(server.post("/notes", content=body, headers={"Content-Type": "application/json"}), 422,
                      reason="invalid-accepted", code="invalid")
    expect.status(server.get("/health"), 204, reason="health-wrong")
