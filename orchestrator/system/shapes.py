"""A dataclass's fields from JSON that somebody else may have written: each of the type that its annotation names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


def _list_of(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list | tuple) and all(_is(one, *kinds) for one in value)


def _map_of(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, Mapping) and all(
        isinstance(name, str) and _is(one, *kinds) for name, one in value.items())


def _is(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)


_SHAPES: Mapping[str, Callable[[object], bool]] = {
    "str": lambda value: _is(value, str),
    "int": lambda value: _is(value, int),
    "float": lambda value: _is(value, int, float),
    "bool": lambda value: _is(value, bool),
    "str | None": lambda value: value is None or _is(value, str),
    "int | None": lambda value: value is None or _is(value, int),
    "float | None": lambda value: value is None or _is(value, int, float),
    "tuple[str, ...]": _list_of(str),
    "tuple[int, ...]": _list_of(int),
    "Mapping[str, str]": _map_of(str),
    "Mapping[str, int]": _map_of(int),
    "Mapping[str, float]": _map_of(int, float),
}
"""By annotation. A field of another one is for the caller to look at."""


def fields_of(shape: type[Any], values: object) -> dict[str, Any]:
    """What of a JSON object the dataclass has, lists as tuples. Raises ``ValueError``.

    A field that has a default may be missing: what an older version of `labs` made is still understood.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{shape.__name__}: not an object")
    found = {}
    for field in dataclasses.fields(shape):
        value = values.get(field.name)
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if optional and value is None:
            continue
        fits = _SHAPES.get(str(field.type))
        if field.name not in values or (fits is not None and not fits(value)):
            raise ValueError(f"{shape.__name__}.{field.name}: missing or of a wrong type")
        found[field.name] = tuple(value) if isinstance(value, list) else value
    return found
