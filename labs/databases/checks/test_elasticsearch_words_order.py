"""elasticsearch/words: the best match first, signs that are no operators, long texts, and words that change."""

import pytest

from orchestrator.checks import expect, promises

ACCENTS = str.maketrans("aou", "\u00e1\u00f4\u00fc")
RARE = "\U00020bb7"
"""A letter that needs four bytes."""


@pytest.fixture
def in_order(found):
    """`in_order(q, first, second, what, reason)`: each of the first events comes before each of the second ones."""

    def look(q, first, second, what, reason):
        seen = found({"q": q, "limit": "100"})
        expect.equal(sorted([*first, *second]), sorted(seen), f"which events GET /search with q={q} finds: {what}",
                     reason="word-not-found")
        ranks = [0 if one in first else 1 for one in seen]
        said = ["better" if one in first else "less" for one in seen]
        expect.true(ranks == sorted(ranks), f"the order of GET /search with q={q}: {what}", reason=reason,
                    expected="better ones first", seen=said)

    return look


@promises("search-name-first", "search-words")
def test_a_name_comes_before_a_venue(plant_documents, document, word, in_order, fresh, evidence):
    """An event with the word in its name comes before one that has it in its venue only."""
    for accents in ({}, ACCENTS, {}):
        right, times = word(), sorted(fresh.time() for _ in range(4))
        placed = [document(f"{word()} {word()}", f"{right} {word()}", time) for time in (times[0], times[3])]
        named = [document(f"{right.translate(accents)} {word()}", f"{word()} {word()}", time) for time in times[1:3]]
        plant_documents(placed[0], *named, placed[1])
        events = [[one["event"] for one in some] for some in (named, placed)]
        in_order(right, *events, "those with it in the name come before those with it in the venue", "name-not-first")
        in_order(right.upper(), *events, "those with it in the name come first", "name-not-first")
        in_order(f"{word()} {right}", *events, "those with it in the name come first", "name-not-first")
    evidence("three words, one with accents in the names, were in two names and in two venues each: the names came first")


@promises("search-exact-first", "search-typos")
def test_the_word_itself_comes_first(plant_documents, document, word, in_order, fresh, evidence):
    """An event with the word itself comes before one that has it with another letter."""
    cases, documents = [], []
    for place in (4, 6, 12):
        for field in ("name", "venue"):
            right = word()
            near = f"{right[:place]}x{right[place + 1:]}"

            def of(text, time, field=field):
                texts = {"name": f"{word()} {word()}", "venue": f"{word()} {word()}", field: f"{text} {word()}"}
                return document(texts["name"], texts["venue"], time)

            times = sorted(fresh.time() for _ in range(4))
            other, itself = [of(near, times[0]), of(near, times[3])], [of(right, times[1]), of(right, times[2])]
            documents += [other[0], *itself, other[1]]
            cases.append((field, right, near, *([one["event"] for one in some] for some in (itself, other))))
    plant_documents(*documents)
    for field, right, near, itself, other in cases:
        for q, least, first, second in ((right, near, itself, other), (near, right, other, itself)):
            what = f"those with `{q}` in the {field} come before those with `{least}`"
            in_order(q, first, second, what, "exact-not-first")
    evidence("six words were there with another letter, too: the word that was asked for came first, both ways")


@promises("search-no-operators", "search-words", "get-search-200")
def test_nothing_is_an_operator(searched, plant_documents, document, word, found, asked_for, evidence):
    """Signs and words such as AND, NOT and `name:` narrow nothing, widen nothing, and break nothing."""
    one, two = word(), word()
    events = plant_documents(
        document(f"{one} {word()}", f"{word()} {word()}"),
        document(f"{word()} {word()}", f"{one} {word()}"),
        document(f"{two} {word()}", f"{word()} {word()}"),
        document(f"{one} {two}", f"{word()} {word()}"),
        document(f"{word()} {word()}", f"{word()} {word()}"),
    )
    named, placed, other, both, neither = events
    one_of_them = [named, placed, other, both]
    asked = {
        # between spaces are words like others, and a sign behind one is at most one letter too many
        f"{one} AND {two}": one_of_them, f"{one} && {two}": one_of_them, f"{one} NOT {two}": one_of_them,
        f"NOT {one} {two}": one_of_them, f"{one} OR {two}": one_of_them, f"{one} + {two}": one_of_them,
        f"{one} - {two}": one_of_them, f"{one} | {two}": one_of_them, f"{one} ! {two}": one_of_them,
        f"{one} and not {two}": one_of_them, f"{one}\" {two}": one_of_them, f"{one}) {two}": one_of_them,
        f"-{two} {one}": [named, placed, both], f"+{two} {one}": [named, placed, both],
        f"!{two} {one}": [named, placed, both], f"\"{two} {one}\"": [named, placed, both],
        f"({two} {one}": [named, placed, both], f"name:{two} {one}": [named, placed, both],
        f"{{ {one}": [named, placed, both], f"[{two} TO {one}": [named, placed, both],
        f"\\ {one}": [named, placed, both],
        f"_exists_:name {two}": [other, both], f"*:* {two}": [other, both], f"~ ^ / : {two}": [other, both],
        f"< > = {two}": [other, both], f"/.*/ {two}": [other, both], f"{two}~5": [], f"{two}^9 ~{one[:6]}*": [],
        f"{two[:8]}*": [], f"{two[:8]}.*": [], f"/{two[:8]}.*/": [], f"{two[:6]}??????": [], f"name:{two[:8]}*": [],
    }
    for q, must in asked.items():
        seen = found({"q": q, "limit": "100"}, reason="operator-refused")
        lacking = [event for event in must if event not in seen]
        expect.equal([], lacking, f"which events {asked_for({'q': q})} leaves out, of those with one of its words",
                     reason="operator")
        expect.true(neither not in seen, f"whether {asked_for({'q': q})} finds an event with none of its words",
                    reason="operator", expected=False, seen=True)
        if not must:
            wrong = [event for event in (named, placed) if event in seen]
            expect.equal([], wrong, f"which events {asked_for({'q': q})} finds that have none of its words", "operator")
            if "*" in q or "?" in q:
                expect.true(other not in seen or "^" in q, f"whether {asked_for({'q': q})} finds an event with a word"
                            " that only begins so", reason="operator", expected=False, seen=True)
    field = found({"q": f"name:{one}"}, reason="operator-refused")
    expect.equal(named in field, placed in field, f"whether q=name:{one} finds the event with the word in its venue, as"
                 " it finds the one with it in its name", reason="operator")
    for q in ('"', "*", "-", "/", "~", ":", "\\", "()", "AND", "OR NOT", "[* TO *]", "/(/", '{"match_all": {}}',
              "\n", "%"):
        answer = searched({"q": q})
        expect.true(answer.status in (200, 422), f"the answer to GET /search with q={q}", reason="operator-refused",
                    expected="200 or 422", seen=f"{answer.status} {answer.text}")
    evidence(f"{len(asked)} texts with `*`, `\"`, `-`, `name:`, AND and others were read as words")


@promises("search-q", "get-search-422", "get-search-200", "search-nothing")
def test_both_sides_of_the_longest_text(searched, plant_documents, document, word, found, finds, evidence):
    """A `q` of 200 characters is searched for, one of 201 is refused; what no event has finds nothing."""
    right = word()
    (event,) = plant_documents(document(f"{word()} {right}"))
    short, middle = " ".join("bdfgkmprtv"[n % 10] + str(n) for n in range(60)), " ".join(word() for _ in range(13))
    for words in (short, middle, "a " * 100, RARE * 180, f"{RARE} " * 90, "b" * 180):
        q = f"{words[:199 - len(right)].strip()} {right}"
        q = " " * (200 - len(q)) + q
        seen = found({"q": q}, reason="long-text-refused")
        what = f"whether GET /search finds an event by the last word of a `q` of {len(q)} characters: {q}"
        expect.true(event in seen, what, reason="long-text-refused", expected=True, seen=False)
        answer = searched({"q": f"{words} {right}".rjust(201, "b")[-201:]})
        expect.status(answer, 422, reason="long-text-accepted", code="invalid")
    for q in ("q" * 201, RARE * 201, "e\u0301" * 101, "e" * 10_000):
        expect.status(searched({"q": q}), 422, reason="long-text-accepted", code="invalid")
    for q in ("", " ", "   "):
        answer = searched({"q": q})
        expect.status(answer, 200, 422, reason="empty-text")
    answer = searched({"q": f"{word()} {word()}"})
    expect.status(answer, 200, reason="search-refused")
    expect.fields(answer, {"items": [], "total": 0, "venues": [], "next": None},
                  "the answer to a search for words that no event has", reason="too-much-found")
    finds({"q": "zq"}, [], "no event has this word", "too-much-found")
    evidence("texts of 200 characters, of up to a hundred words, were searched for; 201 were refused")


@promises("search-fresh", "search-words", "patch-events-one-200", "search-venue", "search-times")
def test_words_follow_the_event(
    server, made_event, soon_found, soon_gone, plant_documents, document, word, pages, finds, fresh, evidence
):
    """A new name is found and the old one is not; with `q` the filters and pages count as they do without it."""
    old, new = word(), word()
    event, body = made_event(name=f"{old} {word()}")
    soon_found(event, {"q": old}, "after POST /events")
    soon_found(event, {"q": body["venue"]}, "after POST /events")
    expect.status(server.patch(f"/events/{event}", json={"name": f"{word()} {new}"}), 200, reason="change-refused")
    soon_found(event, {"q": new}, "after a PATCH of its name", "change-not-found")
    soon_gone(event, {"q": old}, "which its name had before", "old-still-found")
    soon_found(event, {"q": body["venue"]}, "after a PATCH of its name", "change-lost")
    right, venue, times = word(), word(), sorted(fresh.time() for _ in range(13))
    documents = [document(f"{right} {word()}", venue, time) for time in times]
    plant_documents(*documents, document(f"{right} {word()}"), document(f"{word()} {word()}", venue, times[5]))
    events = [one["event"] for one in documents]
    finds({"q": right, "venue": venue}, events, "those with this word at this venue", "filter-ignored")
    finds({"q": right, "venue": venue, "from": times[3], "to": times[8]}, events[3:8],
          "those with this word at this venue between these times", "filter-ignored")
    seen = [item["event"] for item in pages("/search", 5, q=right, venue=venue)]
    expect.equal(sorted(events), sorted(seen), "the events of all pages of GET /search with `q` and `venue`, by id",
                 reason="pages-wrong")
    evidence("a changed name was found by its new word only; 13 events with one word came once each in pages of five")
