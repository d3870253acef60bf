"""elasticsearch/words: events are found by their words, however these are typed, and the best match comes first."""

import pytest

from orchestrator.checks import expect, promises

ACCENTS = str.maketrans("aou", "\u00e1\u00f4\u00fc")
OTHER_ACCENTS = str.maketrans("aou", "\u00e4\u00f3\u00fa")
ENDINGS = (
    ("concert", "concerts"), ("dance", "dancing"), ("sing", "singing"), ("play", "played"), ("story", "stories"),
    ("run", "running"), ("walked", "walking"), ("ticket", "tickets"),
)
MISTYPED = {
    "dancing": ("dancinx", "dancig", "danxing", "dancingg"), "concerts": ("concertx", "concrts", "concertts"),
    "stories": ("storiex", "stoies", "storries"), "running": ("runnixg", "runing", "runningx"),
    "relational": ("relationax", "relatonal", "relatioonal"), "festivities": ("festivitiex", "festivties"),
}
LEAST = 5
LETTER = "x"
"""In none of the words that `word` makes."""


def with_mistakes(right):
    """A word with one letter wrong, missing or too many, at each kind of place but the first: what, and the word.

    What was typed has five letters or more, too.
    """
    places = {"the second letter": 1, "a letter in the middle": len(right) // 2, "the last letter": len(right) - 1}
    for name, place in places.items():
        yield f"{name} is wrong", right[:place] + LETTER + right[place + 1:]
        if len(right) > LEAST:
            yield f"{name} is missing", right[:place] + right[place + 1:]
        yield f"there is one too many before {name}", right[:place] + LETTER + right[place:]
    yield "there is one too many at the end", right + LETTER


@pytest.fixture
def named_and_placed(document, word):
    """`named_and_placed(right, other=None) -> [document]`: one with the word in its name, one with it in its venue."""

    def make(right, other=None):
        return [document(f"{right.capitalize()} {word()}", f"{word()} {word()}"),
                document(f"{word()} {word()}", f"{word()} {other or right.upper()}")]

    return make


@pytest.fixture
def by_words(finds):
    """`by_words(q, events, why, reason)`: a search for `q` finds exactly these of this run's events."""
    return lambda q, events, why, reason="word-not-found": finds({"q": q}, events, why, reason)


@promises("search-words", "search-nothing", "search-q", "get-search-200")
def test_words_of_a_name_and_of_a_venue(plant_documents, document, word, by_words, evidence):
    """One of the words is enough, in the name or in the venue, wherever it stands; a part of a word is no word."""
    one, two, three, four = (word() for _ in range(4))
    number = str(1_000_000 + len(one) * 37_119)
    named, placed, both = plant_documents(
        document(f"{word()} {one} {word()}", f"{word()} {word()}"),
        document(f"{word()} {word()}", f"{word()} {word()}, {one} {number}"),
        document(two, f"{three} {word()}"),
    )
    by_words(one, [named, placed], "those with this word in the name or in the venue")
    by_words(f"{one} {four}", [named, placed], "those with one of these words", "not-any-word")
    by_words(f"{four}  {two} {one}", [named, placed, both], "those with one of these words", "not-any-word")
    by_words(f"{two} {three}", [both], "the one with one word in its name and the other in its venue", "not-any-word")
    by_words(f" {number} ", [placed], "the one with this number in its venue")
    for part in (one[:8], one[5:], one[:-4], four):
        by_words(part, [], "no event has this word", "too-much-found")
    by_words(f"{four} {one[:8]}", [], "no event has one of these words", "too-much-found")
    evidence("a word was found in a name and in a venue, one of three was enough, and a part of it found nothing")


@promises("search-accents", "search-words")
def test_letter_case_and_accents(plant_documents, document, word, by_words, evidence):
    """Capitals and accents make no difference: not in the search, and not in the event."""
    plain = word()
    forms = {
        "small letters": plain, "capitals": plain.upper(), "a capital": plain.capitalize(),
        "accents": plain.translate(ACCENTS), "other accents": plain.translate(OTHER_ACCENTS),
        "capitals with accents": plain.translate(ACCENTS).upper(),
    }
    in_names = plant_documents(*(document(f"{one} {word()}", f"{word()} {word()}") for one in forms.values()))
    in_venues = plant_documents(*(document(f"{word()} {word()}", f"{word()} {one}") for one in forms.values()))
    for how, one in forms.items():
        by_words(one, [*in_names, *in_venues], f"a word in {how}, which events have in six forms", "accents-count")
    evidence(f"a word in {len(forms)} forms found the same twelve events each time")


@promises("search-endings", "search-accents")
def test_english_endings(plant_documents, named_and_placed, word, found, evidence):
    """A word is found with another English ending, in both directions, in names and in venues."""
    there = [named_and_placed(stored) for pair in ENDINGS for stored in pair]
    plant_documents(*(one for some in there for one in some))
    typed_ones = [typed for pair in ENDINGS for typed in pair[::-1]]
    for stored, typed, some in zip([stored for pair in ENDINGS for stored in pair], typed_ones, there, strict=True):
        events = [one["event"] for one in some]
        for q in (typed, f"{word()} {typed.upper()}"):
            seen = [one for one in found({"q": q, "limit": "100"}) if one in events]
            what = f"which events q={q} finds, of two with `{stored}` in the name and in the venue"
            expect.equal(sorted(events), sorted(seen), what, reason="ending-counts")
    evidence(f"{len(typed_ones)} words with another ending, such as `dancing` for `dance`, found their events")


@promises("search-typos", "search-words")
def test_a_letter_is_wrong(plant_documents, named_and_placed, word, by_words, evidence):
    """A word of five letters or more is found with one letter wrong, missing or too many, but for the first."""
    rights, tried = [word(length) for length in (LEAST, 6, 9, 13)], 0
    there = [named_and_placed(right, right.translate(ACCENTS)) for right in rights]
    plant_documents(*(one for some in there for one in some))
    for right, some in zip(rights, there, strict=True):
        events = [one["event"] for one in some]
        by_words(right, events, "those with this word")
        for what, wrong in with_mistakes(right):
            q = (wrong, wrong.upper(), f"{word()} {wrong.translate(ACCENTS)}")[tried % 3]
            by_words(q, events, f"those with `{right}`, of which {what}", "typo-not-found")
            tried += 1
    evidence(f"{tried} words of 5 to 13 letters with one mistake found their events")


@promises("search-typos")
def test_many_words_are_as_near(plant_documents, document, word, finds, evidence):
    """Forty different words, each one letter away from what is typed, are found, all of them."""
    typed = word(9)
    near = [typed[:place] + letter + typed[place + 1:] for letter in "xqzwy" for place in range(1, 9)]
    events = plant_documents(*(document(f"{one.capitalize()} {word()}") for one in near))
    why = f"{len(near)} events, in the name of each another word one letter away"
    finds({"q": typed, "limit": "100"}, events, why, "typo-not-found")
    evidence(f"a word found {len(near)} events with as many words, each one letter away")


@promises("search-typos", "search-endings")
def test_a_letter_is_wrong_in_an_ending(plant_documents, named_and_placed, found, evidence):
    """A mistake in a word with an English ending is forgiven, too: it is one letter of the word as it stands there."""
    there = {stored: named_and_placed(stored) for stored in MISTYPED}
    plant_documents(*(one for some in there.values() for one in some))
    for stored, some in there.items():
        events = [one["event"] for one in some]
        for q in MISTYPED[stored]:
            seen = [one for one in found({"q": q, "limit": "100"}) if one in events]
            what = f"which events q={q} finds, of two with `{stored}` in the name and in the venue"
            expect.equal(sorted(events), sorted(seen), what, reason="typo-in-ending")
    tried = sum(map(len, MISTYPED.values()))
    evidence(f"{tried} words with an ending and one mistake, such as `dancinx`, found their events")
