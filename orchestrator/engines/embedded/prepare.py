"""Make a new instance's data: once from nothing, after that by copying.

``initdb`` takes a second and a copy of its result a tenth of that. What ``initialise`` made is therefore kept as a
template in the cache, under the recipe's key. A template carries a count of its files and bytes: a cache is a place
where cleaning tools and full disks do damage, and half a database is worse than a slow start.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from orchestrator.engines.embedded.folder import InstanceFolder
from orchestrator.engines.embedded.launch import ServiceUser
from orchestrator.engines.embedded.places import make_folder, make_service_folder, our_mode
from orchestrator.engines.folders import remove_tree
from orchestrator.model import InstanceSpec, ProcessSpec, Step
from orchestrator.system.files import read_json, sync_folder, write_json
from orchestrator.system.locks import locked


def prepare(folder: InstanceFolder, spec: InstanceSpec, process: ProcessSpec, templates: Path,
            user: ServiceUser | None, run: Callable[[Step], None]) -> None:
    """Bring the data to where the service can start on it. Data that is there is kept.

    ``run`` runs one step as the service's user and raises if it fails. A preparation that was cut off left the mark
    ``preparing``, and is begun anew. Data that was made for other credentials is personalised again.
    """
    if process.data.exists() and not folder.data_mark.exists():
        if not folder.fits(spec):
            _personalise(folder, spec, process, run)
        return
    folder.data_mark.touch(mode=0o600)
    sync_folder(folder.path)
    if process.data.exists():
        remove_tree(process.data)
    if process.initialise and process.template_key:
        _from_template(process, templates / template_name(process.template_key), user, run)
    else:
        _initialise(process, user, run)
    _personalise(folder, spec, process, run)
    folder.data_mark.unlink()
    sync_folder(folder.path)


def template_name(key: str) -> str:
    """A file name for a recipe's key."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", key).lstrip(".") or "_"


def _personalise(folder: InstanceFolder, spec: InstanceSpec, process: ProcessSpec, run: Callable[[Step], None]) -> None:
    for step in process.personalise:
        run(step)
    folder.write_fits(spec)


def _initialise(process: ProcessSpec, user: ServiceUser | None, run: Callable[[Step], None]) -> None:
    make_folder(process.data.parent, our_mode(user))
    make_service_folder(process.data, user)
    for step in process.initialise:
        run(step)


def _from_template(process: ProcessSpec, template: Path, user: ServiceUser | None, run: Callable[[Step], None]) -> None:
    """Copy the template; the first to come makes it, and those who come meanwhile wait for it."""
    make_folder(template, our_mode(user))
    with contextlib.suppress(FileNotFoundError), locked(template, shared=True):
        if _copy_whole(template, process.data, user):
            return
    with locked(template):
        if _copy_whole(template, process.data, user):  # somebody else made it while we waited
            return
        _initialise(process, user, run)
        _publish(process.data, template, user)


def _copy_whole(template: Path, data: Path, user: ServiceUser | None) -> bool:
    """Copy a template that is there and as it was made; else ``False``, and nothing is left."""
    count = read_json(template / "count.json")
    if count is None:
        return False
    make_folder(data.parent, our_mode(user))
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(template / "data", data, symlinks=True)
        if count == _count(data):
            _give(data, user)
            return True
    if data.exists():
        remove_tree(data)
    return False


def _publish(data: Path, template: Path, user: ServiceUser | None) -> None:
    """Keep a copy of new data as the template. ``count.json`` comes last: without it there is no template.

    As root, the service's user is first shut out of its data, so that nothing can be changed or swapped for a link
    while we read.
    """
    if user is not None:
        os.chown(data, 0, 0)
    for old in template.iterdir():
        remove_tree(old) if old.is_dir() else old.unlink()
    shutil.copytree(data, template / "data", symlinks=True)
    write_json(template / "count.json", _count(data), durable=True)
    if user is not None:
        os.chown(data, user.uid, user.gid)


def _count(folder: Path) -> dict[str, int]:
    """How many files there are, and how many bytes in them."""
    files = sizes = 0
    for parent, _, names in os.walk(folder):
        files += len(names)
        sizes += sum(os.lstat(os.path.join(parent, name)).st_size for name in names)  # noqa: PTH118 - 1000 files, each start
    return {"files": files, "bytes": sizes}


def _give(folder: Path, user: ServiceUser | None) -> None:
    """Hand a tree that we made to the service's user; the top last, so that it cannot interfere before."""
    if user is None:
        return
    for parent, folders, names in os.walk(folder, topdown=False):
        for name in (*folders, *names):
            os.chown(os.path.join(parent, name), user.uid, user.gid, follow_symlinks=False)  # noqa: PTH118
    os.chown(folder, user.uid, user.gid)
