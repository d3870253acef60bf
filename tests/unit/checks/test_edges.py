"""Values at both sides of every limit are derived from the contract, and are the same in every run."""

from __future__ import annotations

from orchestrator.checks.edges import Edges, edges_of, other_names, query_edges

DOCUMENT = {
    "paths": {"/a": {"post": {
        "parameters": [{"$ref": "#/components/parameters/Limit"}],
        "requestBody": {"content": {"application/json": {"schema": {"allOf": [
            {"$ref": "#/components/schemas/New"}, {"properties": {"free": {"type": "string"}}}]}}}},
    }}},
    "components": {
        "parameters": {"Limit": {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1}}},
        "schemas": {"New": {"properties": {"name": {"type": "string", "minLength": 1, "maxLength": 5}}}},
    },
}


def both(schema: dict[str, object]) -> tuple[list[object], list[object]]:
    found = edges_of(schema)
    return [one.value for one in found if one.allowed], [one.value for one in found if not one.allowed]


def test_numbers_have_two_ends_and_no_fractions() -> None:
    assert both({"type": "integer", "minimum": 0, "maximum": 9}) == (
        [0, 9], [-1, 10, 0.5, "0", True, None])


def test_the_length_of_text_is_counted_in_characters() -> None:
    allowed, refused = both({"type": "string", "minLength": 1, "maxLength": 5})

    assert allowed == ["n", " ", "nnnnn", "\N{ADMISSION TICKETS}" * 5, "e\u0301e\u0301e", " Ab "]
    assert refused == ["", "nnnnnn", "nnnnn\n", "\N{ADMISSION TICKETS}" * 6, "e\u0301e\u0301e\u0301", "a\0b", 7, None]


def test_text_of_one_character_at_most_has_no_room_for_an_accent() -> None:
    assert "e" not in both({"type": "string", "maxLength": 1})[0]


def test_days_that_do_not_exist_are_no_times() -> None:
    allowed, refused = both({"type": "string", "format": "date-time"})

    assert "2032-02-29T00:00:00Z" in allowed
    assert "2031-02-29T12:00:00Z" in refused


def test_letter_case_matters_in_an_enum() -> None:
    assert both({"enum": ["up"]}) == (["up"], ["UP"])


def test_what_has_no_limit_has_no_edge() -> None:
    assert edges_of({"type": "string"}) == query_edges({"type": "string"}, "after") == ()


def test_an_operation_has_the_edges_of_its_body_and_its_query() -> None:
    edges = Edges(DOCUMENT)

    assert {one.field for one in edges.body("POST", "/a")} == {"name"}
    assert [(one.value, one.allowed) for one in edges.query("POST", "/a")] == [
        ("1", True), ("0", False), ("1.5", False), ("ten", False),
        ("1x", False)]
    assert edges.body("POST", "/a")[0].within({"name": "x", "free": "y"}) == {"name": "n", "free": "y"}


def test_a_part_of_a_body_has_names_of_its_own() -> None:
    document = {"components": {"schemas": {"Act": {"type": "object", "properties": {"stage_name": {"type": "string"}}}}}}

    assert Edges(document).misnamed_in("Act") == {"stage_name": ("Stage_name", "STAGE_NAME", "stageName")}


def test_names_in_another_letter_case_are_derived_for_each_field() -> None:
    assert Edges(DOCUMENT).misnamed("POST", "/a") == {"name": ("Name", "NAME"), "free": ("Free", "FREE")}
    assert other_names("starts_at") == ("Starts_at", "STARTS_AT", "startsAt")


def test_a_part_of_a_body_has_the_edges_of_its_schema() -> None:
    assert {one.field for one in Edges(DOCUMENT).schema("New")} == {"name"}


def test_what_is_almost_a_number_would_be_one_within_the_limits() -> None:
    found = [one.value for one in query_edges({"type": "integer", "minimum": 1, "maximum": 5}, "stars") if not one.allowed]

    assert found == ["0", "6", "1.5", "ten", "1x"]
    assert [one.value for one in query_edges({"type": "integer", "minimum": -5}, "floor")] == ["-5", "-6", "-4.5", "ten"]
