"""What is wrong with the code that checks share, as a whole: the conftest and the files of ``checks/fixtures/``."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.lint.check_files import CheckFile, CheckFiles
from orchestrator.lint.finding import Finding


def findings(check_files: CheckFiles) -> Iterator[Finding]:
    """Fixtures of one name in several files, of which a check would get one; and checks where nobody runs them."""
    first: dict[str, CheckFile] = {}
    for file in check_files.shared_files():
        for name, fixture in file.fixtures.items():
            if first.setdefault(name, file) is not file:
                yield Finding(file.name, fixture.lineno, "fixture-twice", f"{name} is in {first[name].name}, too; "
                              "a check gets one of them", "give one of them another name")
        for name, check in file.checks.items():
            yield Finding(file.name, check.lineno, "check-among-fixtures", f"{name} is in a file that checks share; "
                          "no milestone runs it", "put it into a file of checks that lab.toml names")
