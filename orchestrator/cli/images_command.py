"""``labs images``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome, paint, say, table


@command("images")
@argument("action", type=click.Choice(["list", "build", "save", "load"]), default="list")
@argument("arguments", nargs=-1)
def cli(action: str, arguments: tuple[str, ...]) -> Outcome:
    """Service images built from packages, for machines without an image registry.

    labs images build [SERVICE...] · labs images save FILE [SERVICE...] · labs images load FILE
    """
    from orchestrator import services
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.engines.docker.images import Images
    from orchestrator.errors import UsageError
    from orchestrator.system.home import find_home

    home = find_home()
    file, named = (arguments[:1], arguments[1:]) if action in ("save", "load") else ((), arguments)
    if action in ("save", "load") and (not file or (action == "load" and named)):
        raise UsageError(f"which file? labs images {action} FILE", hint=f"labs images {action} images.tar")
    chosen = buildable(named)
    engine = DockerEngine.connect(home.image_table)
    address = engine.info().address
    engine.close()
    images = Images([services.recipe(name) for name in chosen], home.image_table, address)

    def tell(line: str) -> None:
        say(paint(line, "dim"))

    match action:
        case "build":
            found = images.build(tell)
        case "save":
            found = images.save(Path(file[0]), tell)
        case "load":
            found = images.load(Path(file[0]), tell)
        case _:
            found = images.all()
    rows = [(one.service, one.local if one.built else "not built here", f"in place of {one.upstream}") for one in found]
    data = [{"service": one.service, "upstream": one.upstream, "local": one.local, "built": one.built} for one in found]
    return Outcome({"images": data}, table(rows))


def buildable(named: Sequence[str]) -> Sequence[str]:
    """These services, or all that have an image of ours; ``UsageError`` for one that has none."""
    from orchestrator import services
    from orchestrator.errors import UsageError, did_you_mean
    from orchestrator.services.places import image_folder

    names = services.names()
    for name in named:
        if name not in names:
            raise UsageError(f"there is no service {name!r}{did_you_mean(name, names)}", code="unknown-service",
                             hint="labs images list")
        if image_folder(services.recipe(name)) is None:
            raise UsageError(f"labs has no image of its own for {services.recipe(name).title}", code="image-missing",
                             hint="labs images list")
    return named or [name for name in names if image_folder(services.recipe(name)) is not None]
