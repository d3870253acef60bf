"""The shape of ``lab.toml``, format 1. Field descriptions are the reference documentation and the editors' help."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from orchestrator.system.text import STEERING, without_steering


def _plain(text: str) -> str:
    """These texts are printed as they are, before anybody trusts the lab."""
    if found := STEERING.search(text):
        raise ValueError(f"it has the control character {without_steering(found[0])}")
    return text


def _on_one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("it must be one line")
    return _plain(text)


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
MilestoneId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
OneLine = Annotated[str, AfterValidator(_on_one_line)]
Text = Annotated[str, AfterValidator(_plain)]
Line = Annotated[OneLine, Field(min_length=1, max_length=200)]


NAMES_ONLY: dict[str, Any] = {"additionalProperties": False}
"""For the published schema: without it, keys that are no ``Name`` would be anything."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ServiceTable(_Table):
    """A service that labs knows, or one of the lab's own: then compose names its Compose file."""

    model_config = ConfigDict(json_schema_extra={
        "anyOf": [{"required": ["versions"]}, {"required": ["compose"]}],
        "dependentRequired": {name: ["compose"] for name in ("ready", "env", "memory")},
    })

    versions: str = Field(default="", description="PEP 440 range of the product's version that the lab is proved on: "
                          ">=17,<19; may be left out for a service of the lab's own")
    start: bool = Field(default=True, description="Whether labs start LAB and labs pull LAB mean it, too; false: only "
                        "where its name is given, for a service that few learners use")
    compose: str = Field(default="", min_length=1, description="A Compose file with this one service, relative to the "
                         "lab's folder: the service is the lab's own")
    ready: str = Field(default="tcp", description="Of a service of the lab's own: tcp (it takes connections), http "
                       "/PATH (any 2xx) or log PATTERN (a line of its log since its start has it)")
    env: dict[Variable, str] = Field(
        default={}, description="Of a service of the lab's own: what the server is given, with {host}, {port}, "
        "{port_NAME}, {user}, {password}, {database}", json_schema_extra=NAMES_ONLY)
    memory: str = Field(default="", pattern=r"^\d+(\.\d+)? ?(kB|MB|GB)$", description="Of a service of the lab's own: "
                        "about how much it uses, like 200 MB; default: its mem_limit")


class RoleTable(_Table):
    """What any of several services can be for a server: checks ask for it by the role's name."""

    services: list[Name] = Field(min_length=2, description="Who can play it, the usual one first; the milestones of a "
                                 "track that is called as another one are judged only when they are asked for")
    variable: Variable = Field(description="Where the server finds the address of the one that plays it")


class ServerTable(_Table):
    env: dict[str, str] = Field(default={}, description="Environment variables given beyond the standard ones")
    start_budget: float = Field(default=20, gt=0, le=300, description="Seconds until GET /health must answer")
    build_budget: float = Field(default=300, gt=0, le=3600, description="Seconds for the build commands together")
    start_budget_cap: float = Field(default=120, gt=0, le=300, description="The longest start_budget that a "
                                    "workspace.toml may set, in seconds; never less than the lab's own")
    build_budget_cap: float = Field(default=1800, gt=0, le=3600, description="The longest build_budget that a "
                                    "workspace.toml may set, in seconds; never less than the lab's own")


class TrackTable(_Table):
    title: Line = Field(description="As people say it")
    summary: Line = Field(description="One sentence for learners")


class HintTable(_Table):
    text: Text = Field(min_length=1, max_length=1000, description="One level of help, plain and kind")
    reason: Name | None = Field(default=None, description="Shown only after a failure with this reason id")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _or_one_alone(schema: dict[str, Any]) -> None:
    """In the published schema: what may be a list of texts, or one of them."""
    schema["anyOf"] = [schema["items"], {name: schema.pop(name) for name in ("type", "items", "minItems")}]


class MilestoneTable(_Table):
    id: MilestoneId = Field(description="TRACK/STEP; unique, never used again for something else")
    title: Line = Field(description="The goal in one sentence")
    needs: list[MilestoneId] = Field(default=[], description="Milestones that must have passed before")
    services: list[Name] = Field(default=[], description="Services without which it cannot be judged")
    checks: Annotated[list[Annotated[OneLine, Field(min_length=1)]], BeforeValidator(_as_list), Field(
        min_length=1, description="The file of pytest checks, relative to the lab's folder; or several, in their order",
        json_schema_extra=_or_one_alone)]
    brief: OneLine = Field(min_length=1, description="What the learner reads, relative to the lab's folder")
    hints: list[HintTable] = Field(default=[], description="Levels of help, from a nudge to nearly everything")
    budget: float = Field(default=30, gt=0, le=600, description="Seconds for all checks of the milestone together")
    points: int = Field(default=10, ge=0, le=1000, description="Weight in a grade")
    level: Literal["core", "deeper"] = Field(default="core", description="core counts as finishing the track")


class LabFile(_Table):
    format: Literal[1] = Field(description="Version of this file's format")
    title: Line = Field(description="The lab's name for people")
    summary: Line = Field(description="One sentence: what one learns")
    step: Line = Field(description="Where it stands in the learning path")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$", description="Version of the lab")
    services: dict[Name, ServiceTable] = Field(
        default={}, description="Services that the lab uses", json_schema_extra=NAMES_ONLY)
    roles: dict[Name, RoleTable] = Field(
        default={}, description="What any of several services can be for a server", json_schema_extra=NAMES_ONLY)
    server: ServerTable = Field(default=ServerTable(), description="What the learner's server is given")
    tracks: dict[Name, TrackTable] = Field(
        min_length=1, description="Named runs of milestones", json_schema_extra=NAMES_ONLY)
    milestones: list[MilestoneTable] = Field(min_length=1, description="In the order in which they are offered")


def schema() -> dict[str, Any]:
    """The JSON Schema of ``lab.toml``, draft 2020-12; ``docs/lab.schema.json`` is its text."""
    whole = LabFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "title": "lab.toml of a lab"}


def known_keys(location: list[str | int]) -> list[str]:
    """The keys allowed at a place of the file, for did-you-mean."""
    shape: Any = LabFile
    for part in location:
        if isinstance(shape, type) and issubclass(shape, BaseModel):
            field = shape.model_fields.get(str(part))
            if field is None:
                return []
            shape = field.annotation
        else:
            origin, arguments = get_origin(shape), get_args(shape)
            if origin not in (dict, list):
                return []
            shape = arguments[-1]
    if isinstance(shape, type) and issubclass(shape, BaseModel):
        return list(shape.model_fields)
    return []
