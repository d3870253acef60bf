"""``labs verify``."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, engine_option, option
from orchestrator.cli.outcome import Outcome, paint, say

if TYPE_CHECKING:
    from orchestrator.model import Lab
    from orchestrator.report.lab_proof import Proof
    from orchestrator.verify.cases import Scope
    from orchestrator.verify.prover import Progress

QUIET = 15.0
"""Seconds between two lines of progress where nobody redraws anything."""


@command("verify")
@argument("lab")
@argument("milestone", required=False)
@option("--quick", is_flag=True, help="Samples of everything, other ones for each seed.")
@option("--repeat", "repeats", type=click.IntRange(min=0, max=100), default=2, show_default=True,
        help="How often the accepted solution is judged again with other values.")
@option("--jobs", type=click.IntRange(min=1, max=64), help="Servers at the same time; by itself the processors.")
@option("--solutions", type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="The solutions, if they are not in the lab's folder.")
@option("--report", "report_folder", type=click.Path(path_type=Path, file_okay=False),
        help="Write proof.html and proof.json into this folder.")
@option("--seed", type=click.IntRange(min=0), help="Repeat a proof with the same values and samples.")
@option("--again", is_flag=True, help="Prove also what was proved before with the same content.")
@engine_option
def cli(
    lab: str, milestone: str | None, quick: bool, repeats: int, jobs: int | None, solutions: Path | None,
    report_folder: Path | None, seed: int | None, again: bool, engine: str | None,
) -> Outcome:
    """Prove a lab's checks: right servers pass, wrong ones fail where and why they should, changes are noticed.

    LAB is a name or a folder with a lab.toml. MILESTONE (a track, or one milestone) proves only that.
    """
    from orchestrator.catalog import find_milestones, lab_at
    from orchestrator.report import lab_proof, lab_proof_terminal
    from orchestrator.verify.cases import Scope

    found = lab_at(lab)
    chosen = find_milestones(found, milestone) if milestone else found.milestones
    scope = Scope(tuple(one.id for one in chosen), quick, repeats, secrets.randbelow(2**32) if seed is None else seed)
    proof = _prove(found, solutions or found.folder / "solutions", scope, jobs or os.cpu_count() or 2, again, engine)
    data = lab_proof.to_data(proof)
    text = lab_proof_terminal.render(proof, lambda text, colour: paint(text, colour, stream=sys.stdout))
    if report_folder is not None:
        text += f"\n\n{_write(report_folder, proof, data)}"
    return Outcome(data, text, exit_code=0 if proof.holds else 1)


def _prove(lab: Lab, solutions: Path, scope: Scope, jobs: int, again: bool, engine: str | None) -> Proof:
    """Hold a lease and a scratch folder, prove, let go of them."""
    from orchestrator import leases
    from orchestrator.cli.check_command import commit_of
    from orchestrator.cli.session import open_session
    from orchestrator.errors import UsageError
    from orchestrator.state import make_folder
    from orchestrator.verify.prover import Order, prove
    from orchestrator.verify.solutions import check_patches, read_solutions

    if not solutions.is_dir():
        raise UsageError(f"{lab.name} has no solutions here, and without them nothing can be proved",
                         code="no-solutions", hint=f"labs verify {lab.name} --solutions PATH")
    read = read_solutions(solutions)
    check_patches(read)
    with open_session(engine) as session:
        environment = f"verify-{secrets.token_hex(4)}"
        with leases.hold(session.home, engine=session.engine.info().key, environment=environment,
                         purpose="judge") as owner:
            folder = make_folder(session.home.runs / owner.lease)
            try:
                order = Order(lab, commit_of(lab.folder), read, scope, session.engine, session.recipes, owner, folder,
                              session.home.cache, jobs, again)
                with _Line() as line:
                    return prove(order, line.show)
            finally:
                shutil.rmtree(folder, ignore_errors=True)


class _Line:
    """One line that says how far it is, drawn anew on a terminal; elsewhere said now and then."""

    def __init__(self) -> None:
        self._drawn = sys.stderr.isatty()
        self._last = time.monotonic()

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def show(self, progress: Progress) -> None:
        """After each case."""
        from orchestrator.report.lab_proof_terminal import line

        if not progress.last.holds:
            self._clear()
            say(paint(line(progress.last), "red"))
        left = f"{progress.left / 60:.0f} min" if progress.left > 90 else f"{progress.left:.0f} s"
        text = f"{progress.done} of {progress.done + progress.planned} tried, about {left} left: {progress.last.id}"
        if self._drawn:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[K{text[:width]}")
            sys.stderr.flush()
        elif time.monotonic() - self._last > QUIET:
            self._last = time.monotonic()
            say(text)

    def _clear(self) -> None:
        if self._drawn:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _write(folder: Path, proof: Proof, data: dict[str, object]) -> str:
    from orchestrator.report import lab_proof_html
    from orchestrator.state import unwritable

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "proof.html").write_text(lab_proof_html.render(proof), encoding="utf-8")
        (folder / "proof.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise unwritable(folder, error) from error
    return f"{folder / 'proof.html'}: open it in a browser; {folder / 'proof.json'}"
