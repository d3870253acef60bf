"""An ``InstanceSpec`` as JSON's values and back. What is read is not trusted: a wrong shape is a ``ValueError``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, get_args

from orchestrator.model import Credentials, InstanceSpec, Owner, Purpose


def encode(spec: InstanceSpec) -> dict[str, Any]:
    """The whole spec, passwords included: only for places that its owner alone can read."""
    return dataclasses.asdict(spec)


def decode(values: object) -> InstanceSpec:
    """The spec that ``encode`` made. Raises ``ValueError``."""
    if not isinstance(values, dict):
        raise ValueError("not an object")
    owner = _checked(Owner, values.get("owner"))
    if owner["purpose"] not in get_args(Purpose):
        raise ValueError("owner.purpose: unknown")
    credentials = _checked(Credentials, values.get("credentials"))
    plain = _checked(InstanceSpec, values)
    return InstanceSpec(**{**plain, "owner": Owner(**owner), "credentials": Credentials(**credentials)})


def _ports(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(port, int) for port in value.values())


_SHAPES: Mapping[str, Callable[[object], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float),
    "bool": lambda value: isinstance(value, bool),
    "Mapping[str, int]": _ports,
    "tuple[int, ...]": lambda value: isinstance(value, list) and all(isinstance(one, int) for one in value),
}


def _checked(shape: type[Any], values: object) -> dict[str, Any]:
    """The fields of a dataclass from a JSON object, each of the type that its annotation names.

    A field that has a default may be missing: what an older version of `labs` made is still understood.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{shape.__name__}: not an object")
    checked = {}
    for field in dataclasses.fields(shape):
        value = values.get(field.name)
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        if value is None and optional:
            continue
        fits = _SHAPES.get(str(field.type))
        if value is None or (fits is not None and not fits(value)):
            raise ValueError(f"{shape.__name__}.{field.name}: missing or of a wrong type")
        checked[field.name] = tuple(value) if isinstance(value, list) else value
    return checked
