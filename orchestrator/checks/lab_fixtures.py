"""Loads a lab's ``checks/fixtures/*.py`` as pytest loads a conftest: for every check, with asserts that explain."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from orchestrator.checks.shared_code import FIXTURES, fixture_files


def load(config: pytest.Config) -> None:
    """Every file of the lab's folder as a plugin of its own, by name. Raises ``pytest.UsageError``, as a conftest does.

    After the fixtures of ours, so that a fixture of the lab may stand in for one of them.
    """
    for path in fixture_files(config.rootpath):
        module = _imported(path, config)
        config.pluginmanager.register(module, module.__name__)


def _imported(path: Path, config: pytest.Config) -> ModuleType:
    # No `import` can say this name, and without a dot it has no package for a relative one: the files of a lab must
    # not depend on the order in which they are loaded. What they share is fixtures.
    name = f"{FIXTURES}/{path.stem}".replace(".", "-")
    loader = config.pluginmanager.rewrite_hook  # what explains the asserts of conftests and checks
    assert isinstance(loader, importlib.abc.Loader)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # where dataclasses look a name up
    try:
        loader.exec_module(module)
    except Exception as error:
        raise pytest.UsageError(_words(path, error, config.rootpath)) from error
    return module


def _words(path: Path, error: Exception, lab: Path) -> str:
    """As pytest says it of a conftest: the way to the error in the lab's own lines, then the error."""
    seen = pytest.ExceptionInfo.from_exception(error)
    seen.traceback = seen.traceback.filter(lambda entry: Path(entry.path).is_relative_to(lab))
    way = seen.getrepr(style="short", chain=False) if seen.traceback else seen.exconly()
    return f"ImportError while loading '{path}'.\n{way}"
