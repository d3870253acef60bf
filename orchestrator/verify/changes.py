"""What the front changes in an exchange between the checks and a server: pure functions from an answer to another.

A mutant is one harmful change on one route, which some check must notice. A harmless variant is a change that the
contract allows, which no check may mind. Both are values that travel as JSON to the front (``front.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
EXTRA = {"labs_extra": {"nested": [1, None, "more fields are fine"]}}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answered. ``headers`` in their order, names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first value of a header; ``""`` if there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def with_header(self, name: str, value: str | None) -> Answer:
        """Another value for a header, at its place; ``None`` takes it away."""
        if value is None:
            return replace(self, headers=tuple(one for one in self.headers if one[0] != name))
        if not self.header(name):
            return replace(self, headers=(*self.headers, (name, value)))
        return replace(self, headers=tuple((key, value if key == name else old) for key, old in self.headers))

    def data(self) -> Any:
        """The body as JSON values; ``None`` for anything else."""
        if "json" not in self.header("content-type"):
            return None
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def with_data(self, data: Any) -> Answer:
        """The same answer with other JSON values."""
        return replace(self, body=json.dumps(data, ensure_ascii=False).encode())


@dataclass(frozen=True, slots=True)
class Change:
    """One harmful change, on answers of one route and status.

    ``kind`` is a key of ``MUTATIONS``, or ``replay``, ``swallow``, ``double`` (what the front does with the request)
    or ``sabotage`` (done in ``service``, on no route). ``field`` is a path in the JSON (``items[].price``), a header's
    name, or what is spoilt in the service.
    """

    route: str
    status: int
    kind: str
    field: str = ""
    to: int = 0
    """For ``status``: the other one."""
    service: str = ""

    @property
    def id(self) -> str:
        """Stable words for people, and for ``solutions/proof.toml``."""
        if self.kind == "sabotage":
            return f"{self.service}: {self.field}"
        what = {
            "status": f"answered with {self.to}", "absent": f"{self.field} absent", "null": f"{self.field} is null",
            "other": f"{self.field} has another value", "type": f"{self.field} has another type",
            "header": f"header {self.field} absent", "header-other": f"header {self.field} has another value",
            "reversed": f"{self.field} in reverse order", "shorter": f"{self.field} without its first",
            "emptied": f"{self.field} is empty", "replay": "an old answer again",
            "swallow": "the write does not reach the server", "double": "the write is done twice",
        }[self.kind]
        return f"{self.route} {self.status}: {what}"


def to_data(change: Change) -> dict[str, Any]:
    """As JSON values."""
    return asdict(change)


def from_data(data: Mapping[str, Any]) -> Change:
    """The change of ``to_data``'s values."""
    return Change(**data)


def mutated(change: Change, answer: Answer) -> Answer:
    """The answer with the change, if it is one that the change is about; else the same."""
    mutation = MUTATIONS.get(change.kind)
    if mutation is None or answer.status != change.status:
        return answer
    return mutation(change, answer)


def _status(change: Change, answer: Answer) -> Answer:
    return replace(answer, status=change.to)


def _header(change: Change, answer: Answer) -> Answer:
    return answer.with_header(change.field, None)


def _header_other(change: Change, answer: Answer) -> Answer:
    return answer.with_header(change.field, "application/octet-stream" if change.field == "content-type" else "other")


def _on_values(act: Callable[[Any, str], None]) -> Callable[[Change, Answer], Answer]:
    """A mutation of the values at ``field``: ``act`` gets the object that holds it, and its name in there."""

    def mutate(change: Change, answer: Answer) -> Answer:
        data = answer.data()
        *way, last = change.field.split(".")
        found = False
        for holder in _walk(data, way):
            if isinstance(holder, dict) and last.removesuffix("[]") in holder:
                act(holder, last.removesuffix("[]"))
                found = True
        return answer.with_data(data) if found else answer

    return mutate


def _walk(data: Any, way: list[str]) -> list[Any]:
    """The values at a path; ``name[]`` goes into all items of a list."""
    here = [data]
    for part in way:
        name = part.removesuffix("[]")
        here = [one[name] for one in here if isinstance(one, dict) and name in one]
        if part.endswith("[]"):
            here = [item for one in here if isinstance(one, list) for item in one]
    return here


def other_value(value: Any) -> Any:
    """A value of the same type that means something else."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        # A time stays a time, a year later; all else is told apart by its end.
        return f"{int(value[:4]) + 1}{value[4:]}" if TIME.fullmatch(value) else f"{value}0"
    if isinstance(value, dict):
        return {name: other_value(one) for name, one in value.items()}
    return [*value, *value[:1]] if isinstance(value, list) else "something"


def other_type(value: Any) -> Any:
    """The value as another JSON type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() else [value]
    return str(value)


def _absent(holder: dict[str, Any], name: str) -> None:
    del holder[name]


def _null(holder: dict[str, Any], name: str) -> None:
    holder[name] = None


def _other(holder: dict[str, Any], name: str) -> None:
    holder[name] = other_value(holder[name])


def _type(holder: dict[str, Any], name: str) -> None:
    holder[name] = other_type(holder[name])


def _reversed(holder: dict[str, Any], name: str) -> None:
    holder[name] = holder[name][::-1]


def _shorter(holder: dict[str, Any], name: str) -> None:
    holder[name] = holder[name][1:]


def _emptied(holder: dict[str, Any], name: str) -> None:
    holder[name] = []


MUTATIONS: Mapping[str, Callable[[Change, Answer], Answer]] = {
    "status": _status, "header": _header, "header-other": _header_other,
    "absent": _on_values(_absent), "null": _on_values(_null), "other": _on_values(_other), "type": _on_values(_type),
    "reversed": _on_values(_reversed), "shorter": _on_values(_shorter), "emptied": _on_values(_emptied),
}

# --- harmless variants ---------------------------------------------------------------------------------------------


def _key_order(answer: Answer) -> Answer:
    data = answer.data()
    return answer if data is None else answer.with_data(_turned(data))


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _turned(one) for name, one in reversed(value.items())}
    return [_turned(one) for one in value] if isinstance(value, list) else value


def _extra_fields(answer: Answer) -> Answer:
    data = answer.data()
    return answer.with_data(_more(data)) if isinstance(data, dict) else answer


def _more(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{name: _more(one) for name, one in value.items()}, **EXTRA}
    return [_more(one) for one in value] if isinstance(value, list) else value


def _extra_headers(answer: Answer) -> Answer:
    more = (("x-request-id", "labs-variant"), ("server-timing", "app;dur=1"), ("vary", "accept"))
    return replace(answer, headers=(*answer.headers, *more))


def _charset(answer: Answer) -> Answer:
    kind = answer.header("content-type")
    plain = "charset" not in kind and kind.startswith("application/json")
    return answer.with_header("content-type", f"{kind}; charset=utf-8") if plain else answer


def _times(answer: Answer) -> Answer:
    """RFC 3339 has several ways to write one moment in UTC."""
    if answer.data() is None:
        return answer

    def rewritten(found: re.Match[str]) -> str:
        return found.group(0).removesuffix(found.group(2)) + ("+00:00" if found.group(2) == "Z" else "Z")

    return replace(answer, body=TIME.sub(rewritten, answer.body.decode()).encode())


def _spaced(answer: Answer) -> Answer:
    data = answer.data()
    return answer if data is None else replace(answer, body=b"\r\n" + json.dumps(data, indent=4).encode() + b"\n")


VARIANTS: Mapping[str, tuple[str, Callable[[Answer], Answer]]] = {
    "key-order": ("the keys of every object in reverse order", _key_order),
    "extra-fields": ("one more field in every object", _extra_fields),
    "extra-headers": ("more headers in every answer", _extra_headers),
    "charset": ("application/json; charset=utf-8", _charset),
    "times": ("times end with +00:00 instead of Z, or the other way round", _times),
    "spaced": ("JSON over several lines, all but ASCII escaped", _spaced),
}
"""Name -> what it is, and how an answer looks with it. Those of the connection are the front's: ``WAYS``."""

WAYS: Mapping[str, str] = {
    "chunked": "every body in chunks, without Content-Length",
    "close": "the connection is closed after every answer",
    "slow": "every answer takes three times as long, or 0.3 s longer",
}


def varied(names: tuple[str, ...], answer: Answer) -> Answer:
    """The answer with these variants, one after the other."""
    for name in names:
        if name in VARIANTS:
            answer = VARIANTS[name][1](answer)
    return answer
