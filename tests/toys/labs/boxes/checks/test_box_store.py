"""box/store: a note is a key in the box, whoever wrote it."""

from orchestrator.checks import expect


def test_a_note_is_a_key(server, box, fresh, evidence):
    """Each note that the API makes is one key in the box, and the API answers what it was given."""
    keys = []
    for _ in range(2):
        text = fresh.token()
        answer = server.post("/notes", json={"text": text})
        expect.status(answer, 201, reason="create-refused")
        code = expect.field(answer, "code", str, reason="answer-wrong")
        expect.equal(text, expect.field(answer, "text", str, reason="answer-wrong"),
                     "the text that POST /notes answers", reason="answer-wrong")
        expect.equal(text, box.get(f"note.{code}"), f"the key note.{code} in the box", reason="not-in-box")
        keys.append(f"note.{code}")
        expect.equal(sorted(keys), box.keys(), "the keys in the box after each POST /notes", reason="not-one-key")
    evidence(f"the box holds the texts of two new notes, and your server sent it {box.commands()} commands")


def test_a_planted_note_is_known(server, box, fresh, evidence):
    """A note whose key somebody else wrote is a note, also after it changed and after a restart of your server."""
    code = fresh.token()
    for text in (fresh.token(), fresh.token()):
        box.plant(f"note.{code}", text)
        answer = server.get(f"/notes/{code}")
        expect.status(answer, 200, reason="plant-not-seen")
        seen = [expect.field(answer, name, str, reason="answer-wrong") for name in ("code", "text")]
        expect.equal([code, text], seen, f"the note that I had put into the box under note.{code}",
                     reason="plant-not-seen")
    server.restart()
    after = expect.field(server.get(f"/notes/{code}"), "text", str, reason="answer-wrong")
    expect.equal(text, after, "the same note after a restart", reason="plant-not-seen")
    evidence("two texts that were written into the box beside the server were answered, one of them after a restart")


def test_what_is_no_note(server, fresh):
    """A code that nobody has is 404; a body that is no note is 422; the server still runs."""
    expect.status(server.get(f"/notes/{fresh.token()}"), 404, reason="unknown-code", code="not_found")
    for body in ("{", "[]", "{}", '{"text": 7}'):
        expect.status(server.post("/notes", content=body, headers={"Content-Type": "application/json"}), 422,
                      reason="invalid-accepted", code="invalid")
    expect.status(server.get("/health"), 204, reason="health-wrong")
