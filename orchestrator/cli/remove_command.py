"""``labs remove``."""

from __future__ import annotations

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome


@command("remove")
@argument("lab")
def cli(lab: str) -> Outcome:
    """An added lab is no longer there; your servers and what they passed stay as they are.

    For a lab that has moved: remove it, then add it from where it is now.
    """
    from orchestrator.catalog.sources import changing, remove
    from orchestrator.system.home import find_home

    home = find_home()
    with changing(home):
        gone = remove(home, lab)
    again = f"labs add {gone.url}@{gone.ref}" if gone.ref else f"labs add {gone.url}"
    return Outcome({"lab": lab, "source": gone.url, "commit": gone.commit},
                   f"{lab} is removed; it was at {gone.commit[:12]}\nto have it again: {again}")
