"""``labs images``."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome, paint, say, table


@command("images")
@argument("action", type=click.Choice(["list", "build", "save", "load"]), default="list")
@argument("arguments", nargs=-1)
def cli(action: str, arguments: tuple[str, ...]) -> Outcome:
    """Service images built from packages, for machines without an image registry.

    labs images build [SERVICE...] · labs images save FILE · labs images load FILE
    """
    from orchestrator import services
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.engines.docker.images import Images
    from orchestrator.errors import UsageError, did_you_mean
    from orchestrator.system.home import find_home

    home = find_home()
    names = services.names()
    chosen = arguments if action == "build" and arguments else names
    for name in chosen:
        if name not in names:
            raise UsageError(f"there is no service {name!r}{did_you_mean(name, names)}", code="unknown-service",
                             hint="labs images list")
    if action in ("save", "load") and len(arguments) != 1:
        raise UsageError(f"which file? labs images {action} FILE", hint=f"labs images {action} images.tar")
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
            found = images.save(Path(arguments[0]), tell)
        case "load":
            found = images.load(Path(arguments[0]), tell)
        case _:
            found = images.all()
    rows = [(one.service, one.local if one.built else "not built here", f"in place of {one.upstream}") for one in found]
    data = [{"service": one.service, "upstream": one.upstream, "local": one.local, "built": one.built} for one in found]
    return Outcome({"images": data}, table(rows))
