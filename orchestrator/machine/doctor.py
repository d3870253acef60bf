"""What this machine has and lacks, as a list of diagnoses: each with the one command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Lab
from orchestrator.services.base import Recipe
from orchestrator.system.files import make_folder
from orchestrator.system.home import Home
from orchestrator.system.toolchains import TOOLCHAINS

LOW_DISK = 2 * 1024**3
LOW_MEMORY = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``ok``, ``note`` (works without it) or ``missing``; ``remedy`` is a command or one sentence."""

    level: Literal["ok", "note", "missing"]
    subject: str
    what: str
    remedy: str = ""


def examine(home: Home, recipes: Sequence[Recipe], labs: Sequence[Lab]) -> list[Diagnosis]:
    """Look at everything that `labs` needs here. Starts nothing, changes nothing."""
    return [*_machine(home), *_engines(home, recipes, labs), *_programs(labs)]


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
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    yield Diagnosis("ok" if memory > LOW_MEMORY else "note", "memory", f"{memory / 1e9:.1f} GB",
                  "" if memory > LOW_MEMORY else "close other programs while services run")


def _engines(home: Home, recipes: Sequence[Recipe], labs: Sequence[Lab]) -> Iterator[Diagnosis]:
    from orchestrator.engines.choose import docker_engine, embedded_engine

    def user(recipe: Recipe) -> str:
        return next((lab.name for lab in labs for need in lab.services if need.name == recipe.name), "LAB")

    usable = False
    try:
        docker = docker_engine(home)
    except EnvironmentFault as error:
        yield Diagnosis("note", "docker", error.message, error.hint or "")
    else:
        info = docker.info()
        yield Diagnosis("ok", "docker", f"{info.version} at {info.address}")
        usable = True
        for recipe in recipes:
            offer = docker.offer(recipe)
            yield Diagnosis("ok" if offer.available else "note", f"docker: {recipe.name}",
                          offer.expected if offer.available else offer.missing, offer.remedy_for(user(recipe)))
        docker.close()
    embedded = embedded_engine(home)
    for recipe in recipes:
        offer = embedded.offer(recipe)
        usable = usable or offer.available
        yield Diagnosis("ok" if offer.available else "note", f"embedded: {recipe.name}",
                      offer.expected if offer.available else offer.missing, offer.remedy_for(user(recipe)))
    if not usable:
        yield Diagnosis("missing", "engine", "neither Docker nor any service program is here",
                      "install Docker: https://docs.docker.com/get-docker/")


def _programs(labs: Sequence[Lab]) -> Iterator[Diagnosis]:
    offered = {path.name for lab in labs for path in (lab.folder / "starter").glob("*") if path.is_dir()}
    for language, (programs, remedy) in TOOLCHAINS.items():
        if language not in offered:
            continue
        absent = [program for program in programs if shutil.which(program) is None]
        if absent:
            what = f"{', '.join(absent)} not found: only servers in {language} need it"
            yield Diagnosis("note", language, what, remedy)
        else:
            yield Diagnosis("ok", language, ", ".join(str(shutil.which(program)) for program in programs))
