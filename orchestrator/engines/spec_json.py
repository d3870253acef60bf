"""An ``InstanceSpec`` as JSON's values and back. What is read is not trusted: a wrong shape is a ``ValueError``."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

from orchestrator.model import Credentials, InstanceSpec, Owner, Purpose
from orchestrator.system.shapes import fields_of


def encode(spec: InstanceSpec) -> dict[str, Any]:
    """The whole spec, passwords included: only for places that its owner alone can read."""
    return dataclasses.asdict(spec)


def decode(values: object) -> InstanceSpec:
    """The spec that ``encode`` made. Raises ``ValueError``."""
    if not isinstance(values, dict):
        raise ValueError("not an object")
    owner = fields_of(Owner, values.get("owner"))
    if owner["purpose"] not in get_args(Purpose):
        raise ValueError("owner.purpose: unknown")
    credentials = fields_of(Credentials, values.get("credentials"))
    plain = fields_of(InstanceSpec, values)
    return InstanceSpec(**{**plain, "owner": Owner(**owner), "credentials": Credentials(**credentials)})
