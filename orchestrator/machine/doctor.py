"""What this machine has and lacks, as a list of diagnoses: each with the one command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.engines.base import never_here
from orchestrator.errors import EnvironmentFault
from orchestrator.machine import memory
from orchestrator.model import Lab, Offer, Workspace
from orchestrator.services.base import Recipe
from orchestrator.system.files import make_folder
from orchestrator.system.home import Home
from orchestrator.system.toolchains import TOOLCHAINS, too_old, troubles

LOW_DISK = 2 * 1024**3
LOW_MEMORY = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``ok``, ``note`` (works without it) or ``missing``; ``remedy`` is a command or one sentence."""

    level: Literal["ok", "note", "missing"]
    subject: str
    what: str
    remedy: str = ""


def examine(home: Home, recipes: Sequence[Recipe], labs: Sequence[Lab], workspace: Workspace | None = None
            ) -> list[Diagnosis]:
    """Look at everything that `labs` needs here, and the server in ``workspace``. Starts nothing, changes nothing."""
    return [*_machine(home), *_engines(home, recipes, labs), *_programs(labs), *_server(workspace)]


def _machine(home: Home) -> Iterator[Diagnosis]:
    yield Diagnosis("ok", "python", f"{platform.python_version()} at {sys.executable}")
    try:
        make_folder(home.state)
        if not os.access(home.state, os.W_OK):
            raise PermissionError
        yield Diagnosis("ok", "home", str(home.state))
    except (EnvironmentFault, PermissionError):
        yield Diagnosis("missing", "home", f"{home.state} cannot be written", "LABS_HOME=/a/folder/of/yours labs ...")
    free = shutil.disk_usage(next(path for path in (home.state, *home.state.parents) if path.exists())).free
    yield Diagnosis("ok" if free > LOW_DISK else "missing", "disk", f"{free / 1e9:.1f} GB free",
                  "" if free > LOW_DISK else "labs clean, or delete files of your own")
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Diagnosis("ok" if total > LOW_MEMORY else "note", "memory", f"{total / 1e9:.1f} GB",
                  "" if total > LOW_MEMORY else "close other programs while services run")


def _engines(home: Home, recipes: Sequence[Recipe], labs: Sequence[Lab]) -> Iterator[Diagnosis]:
    from orchestrator.engines.choose import docker_engine, embedded_engine
    from orchestrator.engines.docker.shortcomings import shortcomings

    usable = False
    in_docker: frozenset[str] = frozenset()
    try:
        docker = docker_engine(home)
    except EnvironmentFault as error:
        yield Diagnosis("note", "docker", error.message, error.hint or "")
    else:
        info = docker.info()
        yield Diagnosis("ok", "docker", f"{info.version} at {info.address}")
        usable = True
        for what, remedy in shortcomings():
            yield Diagnosis("note", "docker", what, remedy)
        offers = [docker.offer(recipe) for recipe in recipes]
        in_docker = frozenset(offer.service for offer in offers if not never_here(offer))
        yield from _services("docker", recipes, offers, labs, memory.free_memory(info.address))
        docker.close()
    embedded = embedded_engine(home)
    offers = [embedded.offer(recipe) for recipe in recipes]
    usable = usable or any(offer.available for offer in offers)
    yield from _services("embedded", recipes, offers, labs, memory.free_memory(), elsewhere=in_docker)
    if not usable:
        yield Diagnosis("missing", "engine", "neither Docker nor any service program is here",
                      "install Docker: https://docs.docker.com/get-docker/")


def _services(engine: str, recipes: Sequence[Recipe], offers: Sequence[Offer], labs: Sequence[Lab], free: int | None,
              elsewhere: Collection[str] = ()) -> Iterator[Diagnosis]:
    """What an engine says of each service, and whether those that it can run fit together.

    ``elsewhere``: services that another engine here can run: nobody needs advice where this one never will.
    """
    users = {(need.name, need.own): lab.name for lab in reversed(labs) for need in lab.services}
    for recipe, offer in zip(recipes, offers, strict=True):
        needless = offer.reason == "unsupported" and recipe.name in elsewhere
        remedy = "" if needless else offer.remedy_for(users.get((recipe.name, recipe.carried), "LAB"))
        yield Diagnosis("ok" if offer.available else "note", f"{engine}: {recipe.name}",
                        offer.expected if offer.available else offer.missing, remedy)
    here = [recipe for recipe, offer in zip(recipes, offers, strict=True) if not never_here(offer)]
    yield from _memory(labs, here, free, containers=engine == "docker")


def _memory(labs: Sequence[Lab], recipes: Sequence[Recipe], free: int | None, *, containers: bool
            ) -> Iterator[Diagnosis]:
    """Whether each lab's services fit together, none of them running yet. ``recipes``: those that can be had here."""
    known = {recipe.name: recipe for recipe in recipes}
    where = "docker" if containers else "embedded"
    for lab in labs:
        needs = [memory.needed(known[need.name], containers=containers) for need in lab.services
                 if need.start and need.name in known]
        found = memory.fit(needs, free)
        if not needs or free is None:
            continue
        subject = f"{where}: memory for {lab.name}"
        if found.verdict == "short":
            some = f"labs start {lab.name} {' '.join(found.fitting)}" if found.fitting else "close other programs"
            yield Diagnosis("note", subject, f"{found}", some)
        else:
            tight = "; it gets tight if all use as much as they may" if found.verdict == "tight" else ""
            yield Diagnosis("ok", subject, f"{found}{tight}")


def _programs(labs: Sequence[Lab]) -> Iterator[Diagnosis]:
    offered = {path.name for lab in labs for path in (lab.folder / "starter").glob("*") if path.is_dir()}
    for language, (programs, remedy) in TOOLCHAINS.items():
        if language not in offered:
            continue
        absent = [program for program in programs if shutil.which(program) is None]
        if absent:
            what = f"{', '.join(absent)} not found: only servers in {language} need it"
            yield Diagnosis("note", language, what, remedy)
        elif old := next(filter(None, map(too_old, map(str, map(shutil.which, programs)))), ""):
            yield Diagnosis("note", language, old, remedy)
        else:
            yield Diagnosis("ok", language, ", ".join(str(shutil.which(program)) for program in programs))


def _server(workspace: Workspace | None) -> Iterator[Diagnosis]:
    """The programs that build and run the server of the folder we are in."""
    if workspace is not None:
        for program, what, remedy in troubles((*workspace.build, workspace.run), workspace.folder):
            yield Diagnosis("missing", f"your server: {program}", what, remedy)
