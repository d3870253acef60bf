"""note/store: a note is in the file."""

from orchestrator.checks import expect


def test_a_note_is_kept(server, note, fresh, evidence):
    """Each note that the API makes is a row in the file, once, and still there after a restart of your server."""
    notes = {}
    for number in (1, 2):
        text = fresh.token()
        answer = server.post("/notes", json={"text": text})
        expect.status(answer, 201, reason="create-refused")
        code = expect.field(answer, "code", str, reason="answer-wrong")
        expect.equal(text, expect.field(answer, "text", str, reason="answer-wrong"),
                     "the text that POST /notes answers", reason="answer-wrong")
        expect.equal([text], note.texts(code), f"the texts in the file of the note {code}", reason="not-stored")
        expect.equal(number, note.count(), "how many rows there are", reason="not-once")
        notes[code] = text
    server.restart()
    for code, text in notes.items():
        after = server.get(f"/notes/{code}")
        expect.status(after, 200, reason="answer-wrong")
        seen = [expect.field(after, name, str, reason="answer-wrong") for name in ("code", "text")]
        expect.equal([code, text], seen, "the same note after a restart", reason="answer-wrong")
    evidence("the file holds a row for each of two new notes")


def test_what_is_no_note(server, fresh):
    """A code that nobody has is 404; a body that is no note is 422; the server still runs."""
    expect.status(server.get(f"/notes/{fresh.token()}"), 404, reason="unknown-code", code="not_found")
    for body in ("{", "[]", "{}", '{"text": 7}'):
        expect.status(server.post("/notes", content=body, headers={"Content-Type": "application/json"}), 422,
                      reason="invalid-accepted", code="invalid")
    expect.status(server.get("/health"), 204, reason="health-wrong")
