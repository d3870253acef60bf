"""Small edits of a Python server: each is Python, is another program, and is the same for the same seed."""

from __future__ import annotations

import ast
from pathlib import Path

from orchestrator.catalog.labs import find_lab
from orchestrator.verify.edits import as_patch, drawn, edits
from orchestrator.verify.solutions import Patch, apply

TEXT = '''"""é."""


def sell(balance, price, sold):
    if balance >= price and not sold:
        pay(price + 1)
        return True
    raise ValueError("é" + str(price))
'''


def test_every_kind_of_edit() -> None:
    """At each place one node's text is another; texts that are joined are left alone."""
    assert {one.what for one in edits("a.py", TEXT)} == {
        "compares with >", "or joins the conditions", "without not", "computes with -", "2 instead of 1",
        "False instead of True", "without pay(...)", "without the raise"}
    assert edits("a.py", "no python (") == []


def test_an_edited_file_is_another_python_program() -> None:
    """Those of our own solution, all of them."""
    folder = find_lab("databases").folder / "solutions/accepted/python"
    for path in sorted(folder.glob("*.py")):
        text = path.read_text()
        for one in edits(path.name, text):
            other = text[:one.start] + one.new + text[one.end:]
            assert ast.dump(ast.parse(other)) != ast.dump(ast.parse(text)), one


def test_a_seed_draws_the_same_edits_and_they_apply(tmp_path: Path) -> None:
    """As many as were asked for at most; another seed draws others."""
    files = {"a.py": TEXT, "b.py": TEXT}

    some = drawn(files, 1, 5)
    assert some == drawn(files, 1, 5)
    assert some != drawn(files, 2, 5)
    assert len(some) == 5
    assert len(drawn(files, 1, 100)) == 16
    (tmp_path / "a.py").write_text(TEXT)
    first = next(one for one in some if one.file == "a.py")
    apply(tmp_path, Patch("edit", as_patch(first, TEXT), "python", ""))
    assert (tmp_path / "a.py").read_text() == TEXT[:first.start] + first.new + TEXT[first.end:]
