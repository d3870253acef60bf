"""redis/store: a link is a key in Redis, whoever wrote it."""

from orchestrator.checks import expect


def test_a_link_is_a_key(server, redis, fresh, evidence):
    """A link that the API makes is one key in Redis, and the API answers what it was given."""
    before = redis.keys("link:*")
    url = f"https://example.com/{fresh.token()}"
    answer = server.post("/links", json={"url": url})
    expect.status(answer, 201, reason="create-refused")
    code = expect.field(answer, "code", str, reason="answer-wrong")
    expect.equal(url, expect.field(answer, "url", str, reason="answer-wrong"),
                 "the url that POST /links answers", reason="answer-wrong")
    expect.equal(url, redis.get(f"link:{code}"), f"the key link:{code} in Redis", reason="not-in-redis")
    new = sorted(set(redis.keys("link:*")) - set(before))
    expect.equal([f"link:{code}"], new, "the new keys in Redis after one POST /links", reason="not-one-key")
    evidence(f"Redis holds the address of the new link under link:{code}, and nothing else that is new")


def test_a_planted_link_is_known(server, redis, fresh, evidence):
    """A link whose key somebody else wrote is a link, also after it changed and after a restart of your server."""
    code = fresh.token()
    for url in (f"https://example.com/{fresh.token()}", f"https://example.com/{fresh.token()}"):
        redis.plant(f"link:{code}", url)
        answer = server.get(f"/links/{code}")
        expect.status(answer, 200, reason="plant-not-seen")
        seen = (expect.field(answer, "code", str, reason="answer-wrong"),
                expect.field(answer, "url", str, reason="answer-wrong"))
        expect.equal((code, url), seen, f"the link that I had put into Redis under link:{code}",
                     reason="plant-not-seen")
    server.restart()
    after = expect.field(server.get(f"/links/{code}"), "url", str, reason="answer-wrong")
    expect.equal(url, after, "the same link after a restart", reason="plant-not-seen")
    evidence("two addresses that were written into Redis beside the server were answered, one of them after a restart")


def test_what_is_no_link(server, fresh):
    """A code that nobody has is 404; a body that is no link is 422; the server still runs."""
    expect.status(server.get(f"/links/{fresh.token()}"), 404, reason="unknown-code", code="not_found")
    for body in ("{", "[]", "{}", '{"url": 7}'):
        expect.status(server.post("/links", content=body, headers={"Content-Type": "application/json"}), 422,
                      reason="invalid-accepted", code="invalid")
    expect.status(server.get("/health"), 204, reason="health-wrong")
