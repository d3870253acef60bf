"""elasticsearch/pages: all that match, page by page, beyond ten thousand, while events come and go."""

from orchestrator.checks import expect, promises

LIMIT = 100


@promises("search-deep", "search-by-time", "search-total", "search-facets", "pages", "pages-full")
def test_beyond_ten_thousand_by_time(ten_thousand, read_on, each_once, by_time, evidence):
    """Without q, 10,250 events come on pages of 100, each once and by their times, to the very end."""
    documents, venue, _ = ten_thousand()
    params = {"venue": venue}
    items = read_on(params)
    each_once(documents, items, params)
    by_time(items, params)
    evidence(f"{len(items)} events came on pages of {LIMIT}, by their times, 300 of them at one moment")


@promises("search-deep", "search-words", "search-q", "pages", "pages-full")
def test_beyond_ten_thousand_by_words(ten_thousand, read_on, each_once, evidence):
    """With q, 10,250 events that match alike come on pages of 100, each once, to the very end."""
    documents, _, name = ten_thousand()
    params = {"q": name}
    items = read_on(params)
    each_once(documents, items, params)
    evidence(f"{len(items)} events that have a word in their names came on pages of {LIMIT}")


@promises("search-deep", "search-total", "search-facets", "search-times")
def test_each_page_counts_all(search, asked_for, ten_thousand, instant, evidence):
    """`total` and `venues` are those of all that match, on each page; the filters hold on every page."""
    documents, venue, name = ten_thousand()
    times = sorted(one["starts_at"] for one in documents)
    early, late = times[9_000], times[9_400]
    count = sum(early <= one < late for one in times)
    for what in ({"q": name}, {"venue": venue}):
        params = {**what, "from": early, "to": late}
        seen, number, answer = [], 1, search({**params, "limit": "90"})
        while True:
            shown = answer.json()
            counted = [{"venue": one["venue"], "events": one["events"]} for one in shown["venues"]]  # more are fine
            expect.fields(
                {"total": shown["total"], "venues": counted},
                {"total": count, "venues": [{"venue": venue, "events": count}]},
                f"what page {number} of {asked_for(params)} counts",
                reason="page-counts-itself",
            )
            seen += answer.json()["items"]
            if (following := answer.json()["next"]) is None or number > count:
                break
            number, answer = (
                number + 1,
                search({**params, "limit": "90", "after": following}, reason="next-refused"),
            )
        strange = [
            one
            for one in seen
            if not instant(early, "") <= instant(one["starts_at"], "`starts_at`") < instant(late, "")
        ]
        expect.equal(
            [],
            strange[:2],
            f"which events outside of `from` and `to` the pages of {asked_for(params)} showed",
            reason="filter-forgotten",
        )
        expect.equal(
            count,
            len({one["event"] for one in seen}),
            f"how many events the pages of {asked_for(params)} showed",
            reason="page-skips",
        )
    evidence(f"each page of two searches for {count} events counted all of them, and showed no other")


@promises("search-total", "search-facets", "read-is-now")
def test_a_later_page_counts_what_there_is_now(elasticsearch, search, series, document, plant_documents, asked_for, evidence):
    """Events come and go after the first page: the second one counts those that there are then."""
    documents, venue, name = series(12)
    plant_documents(*documents)
    for params in ({"venue": venue}, {"q": name, "venue": venue}):
        first = expect.field(search({**params, "limit": "5"}), "next", str, reason="search-shape")
        come = plant_documents(*(document(f"{name} {place}", venue, documents[0]["starts_at"]) for place in range(3)))
        shown = search({**params, "limit": "5", "after": first}, reason="next-refused").json()
        counted = {"total": shown["total"], "venues": [one["events"] for one in shown["venues"]]}
        what = f"what the second page of {asked_for(params)} counts, after three events had come to the {len(documents)}"
        expect.equal({"total": 15, "venues": [15]}, counted, what, reason="page-counts-itself")
        elasticsearch.delete("events", {"terms": {"event": come}})
    evidence("the second pages of two searches counted three events that had come after the first")


@promises("search-stable", "search-by-time", "pages", "pages-full")
def test_events_come_and_go_between_pages(
    elasticsearch, series, document, plant_documents, read_on, each_once, by_time, evidence
):
    """Events are added and deleted between pages: no other one is left out or shown twice."""
    documents, venue, _ = series(60, lambda place: place // 2)  # two at each moment
    plant_documents(*documents)
    params, shown, gone, came = {"venue": venue}, set(), set(), []

    def others_come(page):
        first, last = page[0]["starts_at"], page[-1]["starts_at"]
        new = [
            document(venue=venue, starts_at=at)
            for at in (documents[0]["starts_at"], first, last, last, "1975-01-01T00:00:00Z", "2400-01-01T00:00:00Z")
        ]
        came.extend(plant_documents(*new))

    def some_go(page):
        """The last one shown, which `next` may name; the first one; and the very last of the list."""
        shown.update(item["event"] for item in page)
        ahead = sorted((one for one in documents if one["event"] not in shown | gone), key=lambda one: one["starts_at"])
        gone.update([page[-1]["event"], page[0]["event"], *(one["event"] for one in ahead[-1:])])
        elasticsearch.delete("events", {"terms": {"event": sorted(gone)}})

    for between, limits, when in (
        (others_come, (7,), ", while others came"),
        (some_go, (5,), ", while others went"),
        (None, (1, 4, 9), " with limits of 1, 4 and 9"),
    ):
        items = read_on(params, between, limits)
        each_once([one for one in documents if one["event"] not in gone], items, params, when, others={*came, *gone})
        by_time(items, params)
    evidence(f"{len(came)} events came and {len(gone)} went between the pages of a list: all others were shown once")


@promises("search-stable", "search-deep", "search-by-time")
def test_many_at_one_moment(elasticsearch, series, plant_documents, read_on, each_once, evidence):
    """Two hundred events of one moment, or parts of a millisecond apart, are shown once each."""
    documents, venue, _ = series(200, lambda place: 5.0)
    for place, one in enumerate(documents[:90]):
        one["starts_at"] = one["starts_at"].replace(":00Z", f":00.123{place % 9 + 1}00Z")
    plant_documents(*documents)
    params, gone = {"venue": venue}, set()

    def last_goes(page):
        gone.add(page[-1]["event"])
        elasticsearch.delete("events", {"term": {"event": page[-1]["event"]}})

    first = read_on(params, limits=(9,))
    each_once(documents, first, params, " with limit=9")
    again = read_on(params, limits=(30, 11))
    expect.equal(
        [one["event"] for one in first],
        [one["event"] for one in again],
        "the order of events that begin at one moment, read twice with other limits",
        reason="list-order",
    )
    items = read_on(params, last_goes, (9,))
    each_once(
        [one for one in documents if one["event"] not in gone],
        items,
        params,
        ", while the last one of each page was deleted",
        others=gone,
    )
    evidence(f"200 events of one moment came on pages of 9, {len(gone)} deleted meanwhile: all others were shown once")
