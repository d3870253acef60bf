"""elasticsearch/find: a page is a document, found by its words."""

from orchestrator.checks import expect


def make(server, text, author):
    answer = server.post("/pages", json={"text": text, "author": author})
    expect.status(answer, 201, reason="create-refused")
    for name, value in (("text", text), ("author", author)):
        expect.equal(value, expect.field(answer, name, str, reason="answer-wrong"), f"the {name} that POST /pages answers",
                     reason="answer-wrong")
    return expect.field(answer, "code", str, reason="answer-wrong")


def found(server, word):
    """Code, text and author of each page that the API finds."""
    answer = server.get(f"/pages?text={word}")
    expect.status(answer, 200, reason="search-wrong")
    pages = expect.field(answer, "pages", list, reason="search-wrong")
    return sorted([str(page.get(name)) for name in ("code", "text", "author")] for page in pages)


def test_a_page_is_kept(server, elasticsearch, fresh, evidence):
    """A page that the API makes is one document, and still there after a restart of your server."""
    word, author = fresh.token(), fresh.token()
    code = make(server, f"the {word} page", author)
    expect.equal({"text": f"the {word} page", "author": author}, elasticsearch.get("pages", code),
                 f"the document {code} of pages", reason="not-stored")
    server.restart()
    after = server.get(f"/pages/{code}")
    expect.status(after, 200, reason="answer-wrong")
    seen = [expect.field(after, name, str, reason="answer-wrong") for name in ("code", "text", "author")]
    expect.equal([code, f"the {word} page", author], seen, "the same page after a restart", reason="answer-wrong")
    evidence("Elasticsearch holds one document for the new page")


def test_a_page_is_found_at_once(server, elasticsearch, fresh, evidence):
    """A search finds the page that was made just before, and no other, with one search."""
    word, author = fresh.token(), fresh.token()
    make(server, fresh.token(), author)
    code = make(server, f"a {word} day", author)
    with elasticsearch.searches() as seen:
        expect.equal([[code, f"a {word} day", author]], found(server, word), f"the pages with the word {word}",
                     reason="not-found-yet")
    expect.equal(1, seen.of("pages"), "the searches of pages that Elasticsearch counted", reason="search-wrong")
    evidence(f"Elasticsearch counted {seen.of('pages')} search")


def test_another_clients_page_is_found(server, elasticsearch, fresh):
    """Your server shows what is in Elasticsearch, not what it remembers."""
    word = fresh.token()
    (code,) = elasticsearch.plant("pages", {"text": f"{word} here", "author": "grace"})
    expect.equal([[code, f"{word} here", "grace"]], found(server, word), "the page of another client", reason="not-stored")
    expect.equal([code], [hit.id for hit in elasticsearch.hits("pages", {"match": {"text": word}})],
                 "the documents with that word in their text", reason="not-stored")


def test_what_is_no_page(server, fresh):
    """A code that nobody has is 404; a body that is no page is 422; the server still runs."""
    expect.status(server.get(f"/pages/{fresh.token()}"), 404, reason="unknown-code", code="not_found")
    for body in ("{", "[]", "{}", '{"text": 7, "author": "ada"}', '{"text": "a"}'):
        expect.status(server.post("/pages", content=body, headers={"Content-Type": "application/json"}), 422,
                      reason="invalid-accepted", code="invalid")
    expect.equal([], found(server, fresh.token()), "the pages with a word that is in none", reason="search-wrong")
    expect.status(server.get("/health"), 204, reason="health-wrong")
