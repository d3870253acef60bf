"""The lab's ``openapi.yaml`` as a check: every answer that it describes has the form that it promises.

So no check has to look at each field of each answer, and a learner reads which one is not as promised. An answer that
the document does not describe (another status, another route) is left to the check.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.checks.answer import JSON, Response
from orchestrator.checks.errors import TargetWrong
from orchestrator.checks.routes import matching, templates_of, way_of
from orchestrator.checks.words import short, shown

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

TYPES = {"string": "a string", "integer": "a whole number", "number": "a number", "boolean": "true or false",
         "array": "a list", "object": "an object", "null": "null"}
DOCUMENT = "urn:labs:openapi"


class Contract:
    """What an OpenAPI 3.1 document promises of answers. ``{}`` promises nothing."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.templates = templates_of(document)
        self._validators: dict[tuple[str, str, int], Validator | None] = {}
        if self.templates:
            # It takes long: a child that was started ahead has it done.
            import jsonschema  # noqa: F401

    def hold(self, method: str, path: str, response: Response) -> None:
        """Return if the answer is as promised, or not described; else ``TargetWrong("contract-broken")``.

        What is promised as JSON and is none: ``TargetWrong("not-json")``.
        """
        template = matching(path, self.templates)
        if template is None or method == "HEAD":
            return
        key = (template, method, response.status)
        if key not in self._validators:
            self._validators[key] = self._validator(*key)
        validator = self._validators[key]
        if validator is None:
            return
        from jsonschema.exceptions import best_match

        error = best_match(validator.iter_errors(response.json()))
        if error is not None:
            raise _wrong(error, response)

    def _validator(self, template: str, method: str, status: int) -> Validator | None:
        """What judges an answer of this status; ``None`` if nothing is promised of it."""
        way = ["paths", template, method.lower(), "responses"]
        described = self._at(way)
        for name in (str(status), f"{status // 100}XX", "default"):
            if isinstance(described, dict) and name in described:
                break
        else:
            return None
        way.append(name)
        answer = self._at(way)
        while isinstance(answer, dict) and str(answer.get("$ref", "")).startswith("#/"):
            way = way_of(answer["$ref"])
            answer = self._at(way)
        content = answer.get("content") if isinstance(answer, dict) else None
        kind = next((kind for kind in content if JSON.fullmatch(kind)), None) if isinstance(content, dict) else None
        if kind is None or not isinstance(self._at([*way, "content", kind]), dict):
            return None
        if "schema" not in self._at([*way, "content", kind]):
            return None
        from jsonschema import Draft202012Validator
        from referencing import Registry
        from referencing.jsonschema import DRAFT202012

        registry: Any = Registry().with_resource(DOCUMENT, DRAFT202012.create_resource(self.document))
        pointer = "/".join(part.replace("~", "~0").replace("/", "~1") for part in [*way, "content", kind, "schema"])
        return Draft202012Validator({"$ref": f"{DOCUMENT}#/{pointer}"}, registry=registry)

    def _at(self, way: list[str]) -> Any:
        here: Any = self.document
        for part in way:
            here = here.get(part) if isinstance(here, dict) else None
        return here


def _wrong(error: ValidationError, response: Response) -> TargetWrong:
    """The error as a failure that a beginner can read."""
    instance: Any = error.instance
    rule: Any = error.validator_value
    exchange = response.exchange
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    answer = f"the answer to {exchange['method']} {exchange['path']} ({response.status}), beside openapi.yaml"
    what, seen = f"`{short(place)}` in {answer}" if place else answer, shown(instance)
    match error.validator:
        case "required":
            missing = [name for name in rule if name not in instance]
            expected = f"an object with {' and '.join(f'`{name}`' for name in missing)}"
        case "type":
            expected = " or ".join(TYPES[one] for one in (rule if isinstance(rule, list) else [rule]))
        case "enum":
            expected = " or ".join(shown(one) for one in rule)
        case "minLength" | "maxLength":
            expected = f"at {'least' if error.validator == 'minLength' else 'most'} {rule} Unicode characters"
            seen = f"{len(instance)} Unicode characters: {seen}"
        case _:
            expected = f"{error.validator}: {shown(rule)}"
    wrong = TargetWrong("contract-broken", what, short(expected), short(seen))
    wrong.exchange = exchange
    return wrong
