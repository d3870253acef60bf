"""elasticsearch/pages: the ends of a list, a page that is asked for again, values of `after` that are none."""

from orchestrator.checks import expect, promises

ODD = (
    "nothing",
    "-1",
    "null",
    "[]",
    "{}",
    '{"match_all":{}}',
    "[1,2]",
    "[null,null]",
    '["now","x"]',
    "99999999999999999999999",
    "1e999",
    "W10",
    "bnVsbA==",
    "_doc",
    "!",
    "é",
    "٣",
)


@promises("pages", "pages-full", "search-deep")
def test_the_ends_of_a_list(search, series, plant_documents, read_on, each_once, word, evidence):
    """A list of exactly two pages ends after them; 20 are a page without `limit`; none are an empty page."""
    # From 1955 to 2103: times before 1970 are numbers below zero.
    documents, venue, name = series(40, lambda place: (place - 20) * 2_000_000.0)
    plant_documents(*documents)
    for params in ({"venue": venue}, {"q": name}):
        answer = search(params)
        expect.equal(
            20,
            len(answer.json()["items"]),
            f"how many of 40 events the first page has without `limit`{' with q' if 'q' in params else ''}",
            reason="page-length",
        )
        for limits in ((20,), (40,), (39,), (100,), (1, 39)):
            each_once(
                documents, read_on(params, limits=limits), params, f" with limit={' and '.join(map(str, limits))}"
            )
    answer = search({"venue": word()})
    expect.fields(
        answer,
        {"items": [], "total": 0, "venues": [], "next": None},
        "what GET /search says of a venue without events",
        reason="page-of-none",
    )
    evidence("40 events came on one page, on two, and on three, and the last page said so")


@promises("pages", "search-deep", "search-stable", "search-page-again")
def test_a_page_asked_for_again(server, twin, search, series, plant_documents, read_on, each_once, evidence):
    """The same `after` gives the same page again, at another process of your server, too."""
    documents, venue, name = series(30, lambda place: place)
    plant_documents(*documents)
    for params in ({"venue": venue}, {"q": name}):
        following = search({**params, "limit": "7"}).json()["next"]
        second = {**params, "limit": "7", "after": following}
        pages = [
            [item["event"] for item in search(second, via, "page-not-again").json()["items"]]
            for via in (server, server, twin)
        ]
        expect.true(
            pages[0] == pages[1] == pages[2],
            "the second page of a search, asked for three times, once at another process",
            "page-not-again",
            pages[0],
            pages,
        )
        each_once(
            documents, read_on(params, limits=(7,), via=(server, twin)), params, ", asked for at two processes in turn"
        )
    evidence(
        "a second page was the same three times, at two processes; pages of two processes in turn had each event once"
    )


@promises("bad-page", "get-search-422")
def test_an_after_that_is_none(server, series, plant_documents, edges, evidence):
    """A bad `limit` is 422, and so is a bad `after`: it is never a mistake inside your server."""
    documents, venue, name = series(30, lambda place: place)
    plant_documents(*documents)
    for params in ({"venue": venue}, {"q": name}):
        for edge in edges.query("GET", "/search"):
            if edge.field == "limit" and not edge.allowed:
                answer = server.get("/search", params={**params, "limit": edge.value})
                expect.true(
                    answer.status == 422,
                    f"the answer to GET /search with limit={edge.value} ({edge.why})",
                    "bad-limit-accepted",
                    "422",
                    f"{answer.status} {answer.text[:120]}",
                )
        refused = 0
        for text in ODD:
            # What `next` looks like is the server's: some of these may be good; they are never a mistake inside.
            answer = server.get("/search", params={**params, "after": text})
            expect.true(
                answer.status in (200, 422),
                f"the answer to GET /search with after={text}",
                "bad-after",
                "422, or a page",
                f"{answer.status} {answer.text[:120]}",
            )
            refused += answer.status == 422
        expect.at_least(
            len(ODD) - 4,
            refused,
            f"how many of {len(ODD)} values of `after` that no search has ever given are refused with 422",
            reason="bad-after",
        )
    evidence(f"{refused} of {len(ODD)} values of `after` that nobody had given were refused")
