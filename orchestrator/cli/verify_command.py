"""``labs verify``."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.command import argument, command, engine_option, option
from orchestrator.cli.outcome import Outcome, paint, say

if TYPE_CHECKING:
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.model import Lab, Owner
    from orchestrator.report.lab_proof import Proof
    from orchestrator.verify.plan import Scope
    from orchestrator.verify.prover import ProofProgress
    from orchestrator.verify.solutions import Solutions

QUIET = 15.0
"""Seconds between two lines of progress where nobody redraws anything."""


@command("verify")
@argument("lab")
@argument("milestone", required=False)
@option("--quick", is_flag=True, help="Samples, other ones for each seed; no faults in the source.")
@option("--repeat", "repeats", type=click.IntRange(min=0, max=100), default=2, show_default=True,
        help="How often the accepted solution is judged again with other values.")
@option("--edits", type=click.IntRange(min=0, max=1000), default=10, show_default=True,
        help="How many small edits of the Python solution are drawn by the seed; none with --quick.")
@option("--jobs", type=click.IntRange(min=1, max=64), help="Servers at the same time; by itself the processors.")
@option("--solutions", type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="The solutions, if they are not in the lab's folder.")
@option("--report", "report_folder", type=click.Path(path_type=Path, file_okay=False),
        help="Write proof.html and proof.json into this folder.")
@option("--seed", type=click.IntRange(min=0), help="Repeat a proof with the same values and samples.")
@option("--case", "bundle", type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="A learner's bundle (labs bundle --as-is): let it meet the checks, and keep it.")
@option("--expect", type=click.Choice(["pass", "fail"]), help="With --case: what is right.")
@option("--all-checks", is_flag=True,
        help="Changed answers meet all checks, also those that never get such an answer. For a nightly run.")
@option("--again", is_flag=True, help="Prove also what was proved before with the same content.")
@engine_option
def cli(
    lab: str, milestone: str | None, quick: bool, repeats: int, edits: int, jobs: int | None, solutions: Path | None,
    report_folder: Path | None, seed: int | None, bundle: Path | None, expect: Literal["pass", "fail"] | None,
    all_checks: bool, again: bool, engine: str | None,
) -> Outcome:
    """Prove a lab's checks: right servers pass, wrong ones fail where and why they should, changes are noticed.

    LAB is a name or a folder with a lab.toml. MILESTONE (a track, or one milestone) proves only that.
    """
    from orchestrator.catalog.labs import find_milestones, lab_at
    from orchestrator.catalog.sources import fetch_solutions
    from orchestrator.report import lab_proof, lab_proof_terminal
    from orchestrator.system.home import find_home
    from orchestrator.verify.plan import Scope

    found = lab_at(lab)
    if (bundle is None) != (expect is None):
        raise click.UsageError("--case and --expect belong together: --case bundle.zip --expect pass")
    folder = solutions or found.folder / "solutions"
    if bundle is not None and expect is not None:
        return _settle(found, _read(found, folder), bundle, expect, milestone, engine)
    chosen = find_milestones(found, milestone) if milestone else found.milestones
    scope = Scope(tuple(one.id for one in chosen), quick, repeats,
                  secrets.randbelow(2**32) if seed is None else seed, edits, all_checks)
    with tempfile.TemporaryDirectory(prefix="labs-solutions-") as scratch:
        if not folder.is_dir():
            folder = fetch_solutions(find_home(), found.folder, Path(scratch)) or folder
        read = _read(found, folder)
        proof = _with_promises(found, read, _prove(found, read, scope, jobs or os.cpu_count() or 2, again, engine))
    data = lab_proof.to_data(proof)
    text = lab_proof_terminal.render(proof, lambda text, colour: paint(text, colour, stream=sys.stdout))
    if report_folder is not None:
        text += f"\n\n{_write(report_folder, proof, data)}"
    return Outcome(data, text, exit_code=0 if proof.holds else 1)


def _prove(lab: Lab, solutions: Solutions, scope: Scope, jobs: int, again: bool, engine: str | None) -> Proof:
    """Hold a lease and a scratch folder, prove, let go of them."""
    import dataclasses

    from orchestrator.catalog.commit import commit_of
    from orchestrator.judge.venue import not_offered
    from orchestrator.verify.here import provable
    from orchestrator.verify.prover import Order, prove
    from orchestrator.verify.solutions import check_patches

    check_patches(solutions)
    with _held(engine) as (toolbox, owner, folder), _ProgressLine() as line:
        here, left_out = provable(lab, scope.chosen, not_offered(lab, toolbox.engine, toolbox.of_lab(lab).recipes))
        scope = dataclasses.replace(scope, chosen=tuple(one for one in scope.chosen if one not in left_out))
        order = Order(here, commit_of(lab.folder), solutions, scope, toolbox.engine, toolbox.recipes, owner, folder,
                      toolbox.home.cache, jobs, again, left_out)
        return prove(order, line.show)


def _with_promises(lab: Lab, solutions: Solutions, proof: Proof) -> Proof:
    """The proof with a line for each promise of the lab."""
    import dataclasses

    from orchestrator.catalog.promises import read_promises
    from orchestrator.verify.promises import judged_by, page

    briefs = sorted({one.brief.relative_to(lab.folder).as_posix() for one in lab.milestones})
    promised = [(one.name, str(one), one.text) for one in read_promises(lab.folder, briefs).named]
    kept = page(promised, judged_by(lab), solutions.wrong, proof.results, lab.folder)
    return dataclasses.replace(proof, promises=kept)


def _settle(lab: Lab, solutions: Solutions, bundle: Path, expect: Literal["pass", "fail"], milestone: str | None,
            engine: str | None) -> Outcome:
    """A dispute: judge the bundle's server with the seed of its report; keep it if the verdict is the right one."""
    from orchestrator.catalog.labs import find_milestones
    from orchestrator.cli.talker import Talker
    from orchestrator.errors import UsageError
    from orchestrator.judge.request import RunRequest
    from orchestrator.judge.supervisor import run
    from orchestrator.verify.dispute import keep, read_bundle, settled, unpack
    from orchestrator.workspace.select import select
    from orchestrator.workspace.workspace_toml import read_workspace

    dispute = read_bundle(bundle)
    about = milestone or dispute.milestone
    if not about:
        raise UsageError("the bundle's report blames no milestone: say which one this is about", code="no-milestone",
                         hint=f"labs verify {lab.name} TRACK/STEP --case {bundle} --expect {expect}")
    asked = find_milestones(lab, about)
    with _held(engine) as (toolbox, owner, folder):
        unpack(dispute, folder / "case")
        request = RunRequest(lab, read_workspace(folder / "case"), select(lab, passed={}, asked=asked, content=""),
                             secrets.randbelow(2**32) if dispute.seed is None else dispute.seed, toolbox.home.cache)
        report = run(request, engine=toolbox.engine, engine_reason=toolbox.engine_reason, recipes=toolbox.recipes,
                     owner=owner, folder=folder, listener=Talker())
    results = {one.id: one for one in report.milestones if one.role != "later"}
    said = settled(results, asked[-1].id, expect)
    if said:
        return Outcome({"settled": False, "said": said}, f"{said}\nNothing was kept.", exit_code=1)
    kept = keep(lab, solutions, dispute, results[asked[-1].id], expect)
    return Outcome({"settled": True, "kept": str(kept)}, f"as expected: {expect}\nkept for every proof: {kept}")


def _read(lab: Lab, solutions: Path) -> Solutions:
    from orchestrator.errors import UsageError
    from orchestrator.verify.solutions import read_solutions

    if not solutions.is_dir():
        raise UsageError(f"{lab.name} has no solutions here, and without them nothing can be proved",
                         code="no-solutions", hint=f"labs verify {lab.name} --solutions PATH")
    return read_solutions(solutions)


@contextlib.contextmanager
def _held(engine: str | None) -> Iterator[tuple[Toolbox, Owner, Path]]:
    """A toolbox, a lease, and a scratch folder that is gone at the end."""
    from orchestrator.cli.toolbox import open_toolbox
    from orchestrator.environments.toolbox import held

    with open_toolbox(engine) as toolbox, held(toolbox, "verify") as (owner, folder):
        yield toolbox, owner, folder


class _ProgressLine:
    """One line that says how far it is, drawn anew on a terminal; elsewhere said now and then."""

    def __init__(self) -> None:
        self._drawn = sys.stderr.isatty()
        self._last = time.monotonic()

    def __enter__(self) -> _ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def show(self, progress: ProofProgress) -> None:
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
    from orchestrator.report import lab_promises, lab_proof_html
    from orchestrator.system.files import unwritable

    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "proof.html").write_text(lab_proof_html.render(proof), encoding="utf-8")
        (folder / "proof.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        if proof.promises:
            page = lab_promises.markdown(proof.lab, proof.promises)
            (folder / "promises.md").write_text(page, encoding="utf-8")
    except OSError as error:
        raise unwritable(folder, error) from error
    return f"{folder / 'proof.html'}: open it in a browser; {folder / 'proof.json'}"
