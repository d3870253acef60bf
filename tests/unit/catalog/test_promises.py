"""What binds a server has a name: which sentences and nodes are found, on which line, under which name."""

from __future__ import annotations

from orchestrator.catalog.labs import find_lab
from orchestrator.catalog.promises import Promises, promises_in, sentences
from orchestrator.system.text import without_anchors
from orchestrator.workspace.standing import brief_of

PAGE = """# Storage

Names must be exact.<a id="names"></a> Colours are yours. It never forgets.

| table | remark |
|---|---|
| `a` | only numbers <a id="numbers"></a> |

- Exactly one ticket.<a id="one"></a> Names must be exact here,
  too.<a href="#names"></a>

```
never read
```
"""

OPENAPI = """openapi: 3.1.0
info:
  title: Small
  description: |
    - A seat is sold once: `409` with `seat_sold`.<a id="sold-once"></a>
    - An id that is not there: `404`.
paths:
  /seats:
    get:
      parameters: [{x-promise: limit, name: limit, in: query, schema: {type: integer, minimum: 1}}]
      responses:
        "200": {x-promise: seats, description: All}
        "422": {description: invalid}
components:
  schemas:
    Seat:
      properties: &seat
        number: {type: integer, minimum: 1}
        row: {x-promise: "#seats", enum: [a, b]}
    Again:
      properties: *seat
"""


def at(found: Promises, kind: str) -> list[tuple[int, str]]:
    return [(one.line, one.name or one.text) for one in getattr(found, kind)]


def test_sentences_of_a_page_are_named_pointed_to_or_bare() -> None:
    found = promises_in({"storage.md": PAGE})

    assert at(found, "named") == [(3, "names"), (7, "numbers"), (9, "one")]
    assert at(found, "cited") == [(10, "names")]
    assert at(found, "bare") == [(3, "It never forgets.")]
    assert "names" in found
    assert "colours" not in found


def test_responses_and_limits_of_openapi_are_promises_once_each() -> None:
    found = promises_in({"openapi.yaml": OPENAPI})

    assert at(found, "named") == [(5, "sold-once"), (10, "limit"), (12, "seats")]
    assert at(found, "cited") == [(19, "seats")]
    assert at(found, "bare") == [(6, "An id that is not there: `404`."), (13, "GET /seats 422: invalid"),
                                 (18, "Seat.number: minimum 1")]


def test_of_a_brief_only_what_is_to_be_built_binds() -> None:
    brief = "# Title\n\nIt must be.\n\n## Build\n\nIt must be quick.<a id=\"quick\"></a> It must be right.\n\n## More\n\nMust."

    assert at(promises_in({"briefs/x.md": brief}), "bare") == [(7, "It must be right.")]


def test_a_lab_that_names_nothing_promises_nothing() -> None:
    assert promises_in({"storage.md": "Names must be exact."}).bare == ()


def test_what_permits_or_leads_to_a_list_does_not_bind() -> None:
    page = 'X.<a id="x"></a>\n\nIt may answer `413`.\n\nIt answers:\n\nIt may answer `413`, and must not crash.\n'

    assert at(promises_in({"storage.md": page}), "bare") == [(7, "It may answer `413`, and must not crash.")]


def test_code_in_backticks_ends_no_sentence() -> None:
    assert [text.strip() for _, text in sentences("Write `a. B`. Then `c`.")] == ["Write `a. B`.", "Then `c`."]


def test_people_read_no_anchors() -> None:
    assert without_anchors('One.<a id="x"></a> Two.<a href="#x"></a>') == "One. Two."


def test_a_brief_is_read_without_the_names_of_its_promises() -> None:
    lab = find_lab("databases")

    for milestone in lab.milestones:
        assert "<a " not in brief_of(milestone)
        assert without_anchors(milestone.brief.read_text(encoding="utf-8")) == brief_of(milestone)
