"""An ``InstanceSpec`` as JSON's values and back. What is read is not trusted: a wrong shape is a ``ValueError``."""

from __future__ import annotations

import dataclasses
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


def _checked(shape: type[Any], values: object) -> dict[str, Any]:
    """The fields of a dataclass from a JSON object, each of the type that its annotation names."""
    kinds: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "bool": bool}
    if not isinstance(values, dict):
        raise ValueError(f"{shape.__name__}: not an object")
    checked = {}
    for field in dataclasses.fields(shape):
        value = values.get(field.name)
        if not isinstance(value, kinds.get(str(field.type), object)) or value is None:
            raise ValueError(f"{shape.__name__}.{field.name}: missing or of a wrong type")
        checked[field.name] = value
    return checked
