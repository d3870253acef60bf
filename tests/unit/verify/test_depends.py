"""What a proof depends on is read from the code: nothing that decides a verdict can be left out of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from support.toys import TOYS, installed

from orchestrator import services
from orchestrator.catalog.manifest import read_lab
from orchestrator.engines.base import EngineInfo
from orchestrator.model import Offer
from orchestrator.verify import depends, prover
from orchestrator.verify.memory import hash_of
from orchestrator.verify.prover import Order


def test_what_decides_a_verdict_is_in_it() -> None:
    """Also what is imported inside functions, found by name, started as a program, or is no Python."""
    found = {str(path.relative_to(depends.PACKAGE)) for path in depends.judging_code()}

    assert {"judge/verdict.py", "judge/child.ini", "checks/expect.py", "targets/keeper.py", "faults/proxy.py",
            "engines/embedded/engine.py", "services/redis/sabotage.py", "services/postgres/evidence/plans.py",
            "system/interrupt.py"} <= found


def test_what_only_shows_results_is_not_in_it() -> None:
    """Another colour in the terminal is no reason to prove a lab again."""
    rooms = {path.relative_to(depends.PACKAGE).parts[0] for path in depends.judging_code()}

    assert not rooms & {"cli", "watch", "lint", "sharing", "scaffold"}
    assert depends.PACKAGE / "report/terminal.py" not in depends.judging_code()


def test_a_renamed_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that was left behind would silently take its file out of every proof."""
    monkeypatch.setattr(depends, "JUDGING", ("orchestrator.judge.gone",))

    with pytest.raises(FileNotFoundError, match=r"orchestrator\.judge\.gone"):
        depends.judging_code()


def test_content_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """It would count as unchanged for ever."""
    with pytest.raises(FileNotFoundError, match="a proof depends on it"):
        hash_of([tmp_path / "lab.toml"])


def test_the_code_that_checks_share_is_in_it(tmp_path: Path) -> None:
    """A proof does not outlive a change of a fixture, wherever the lab has it."""
    folder = Path(shutil.copytree(TOYS / "labs/pairs", tmp_path / "pairs"))
    engine = SimpleNamespace(info=lambda: EngineInfo("docker", "1", "unix:///x", "docker:x"))
    lab = SimpleNamespace(folder=folder, services=())
    order = cast(Order, SimpleNamespace(lab=lab, engine=engine, recipes=services.Recipes()))
    seen = [prover._base(order)]
    (folder / "checks/fixtures").mkdir()
    for name in ("checks/conftest.py", "checks/fixtures/shop.py", "checks/fixtures/more.py"):
        (folder / name).write_text("# another\n")
        seen.append(prover._base(order))

    assert len(set(seen)) == 4


def test_another_distributions_service_is_in_it(tmp_path: Path) -> None:
    """A proof of a lab that uses it does not outlive a change of its code, its Compose file or its program."""
    toy = Path(shutil.copytree(TOYS / "pair", tmp_path / "pair", ignore=shutil.ignore_patterns("__pycache__")))
    lab = read_lab(TOYS / "labs/pairs", services=["pair"])
    engine = SimpleNamespace(offer=lambda recipe: Offer(recipe.name, available=True, expected="pair:1"),
                             info=lambda: EngineInfo("docker", "1", "unix:///x", "docker:x"))
    seen = []
    with installed(tmp_path / "site", "pair", toys=tmp_path):
        order = cast(Order, SimpleNamespace(lab=lab, engine=engine, recipes=services.Recipes()))
        seen.append(prover._base(order))
        assert prover._base(order) == seen[0]
        for name in ("evidence.py", "compose.yaml", "image/pair.pl"):
            with (toy / "toy_pair" / name).open("a") as file:
                file.write("# another\n")
            seen.append(prover._base(order))

    assert len(set(seen)) == 4
