"""What tests of ``labs lint`` break in their small lab, and what is found then."""

from __future__ import annotations

from pathlib import Path

from orchestrator.lint.lint import lint

CHECKS = "checks/test_shop_buyers.py"
PATCH = "solutions/wrong/shop-buyers-dict.patch"
BODY = '    name = fresh.name("buyer")\n'


FIXTURE = """import pytest

@pytest.fixture
def {0}(server, fault):
    def read():
        fault.connections("kafka")
        return server.get("/buyers", reason="{1}")
    return read
"""


def found(lab: Path) -> list[tuple[str, int | None, str]]:
    return [(one.file, one.line, one.rule) for one in lint(lab)]


def change(lab: Path, name: str, old: str, new: str) -> None:
    """Replace a text that is there in a file."""
    text = (lab / name).read_text()
    assert old in text
    (lab / name).write_text(text.replace(old, new))


def extra(lab: Path, text: str) -> None:
    """One more thing at the end of the check file, from line 19 on."""
    path = lab / CHECKS
    path.write_text(f"{path.read_text()}\n{text}")


def shared(lab: Path, topic: str, text: str) -> None:
    """A file of ``checks/fixtures/``."""
    path = lab / "checks/fixtures" / f"{topic}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
