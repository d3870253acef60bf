"""Data is made once from nothing, then copied; what was cut off or damaged is never taken for whole."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.embedded import spec_of, walkable_folder

from orchestrator.engines.embedded.folder import InstanceFolder
from orchestrator.engines.embedded.places import service_user
from orchestrator.engines.embedded.prepare import prepare, template_name
from orchestrator.model import InstanceSpec, ProcessSpec, Step

MAKE, OWN = Step(("make",)), Step(("own",))


@pytest.fixture
def folder() -> Iterator[Path]:
    with walkable_folder() as path:
        yield path


class Preparation:
    """Prepares instances; ``steps`` counts what was run."""

    def __init__(self, folder: Path, *, key: str = "db-1") -> None:
        self.folder = folder
        self.templates = folder / "cache" / "templates"
        self.key = key
        self.steps: list[Step] = []

    def run(self, data: Path, step: Step) -> None:
        self.steps.append(step)
        if step is MAKE:
            (data / "base").mkdir()
            for number in range(20):
                (data / "base" / str(number)).write_text("x" * number)
            (data / "link").symlink_to("base/1")
        else:
            (data / "owned").write_text("mine")

    def instance(self, name: str, *, password: str = "secret") -> InstanceFolder:
        path = self.folder / "instances" / name
        path.mkdir(exist_ok=True, mode=0o711)
        instance = InstanceFolder(path)
        self.prepare(instance, spec_of("db", port=7000, password=password))
        return instance

    def prepare(self, instance: InstanceFolder, spec: InstanceSpec) -> None:
        data = instance.path / "data"
        process = ProcessSpec(("/bin/true",), data, initialise=(MAKE,), template_key=self.key, personalise=(OWN,))
        prepare(instance, spec, process, self.templates, service_user(), lambda step: self.run(data, step))


def content(instance: InstanceFolder) -> dict[str, str]:
    data = instance.path / "data"
    return {str(path.relative_to(data)): path.read_text() for path in data.rglob("*") if path.is_file()}


def test_the_second_instance_is_a_copy_of_the_first_before_it_was_personal(folder: Path) -> None:
    """``initialise`` runs once for a key, ``personalise`` once for each instance; links stay links."""
    preparation = Preparation(folder)
    first, second = preparation.instance("one"), preparation.instance("two")

    assert preparation.steps == [MAKE, OWN, OWN]
    assert content(first) == content(second)
    assert (second.path / "data/link").is_symlink()
    assert not (preparation.templates / "db-1/data/owned").exists()


def test_data_belongs_to_the_service_alone(folder: Path) -> None:
    """Copied or made, all of it is the service user's, and the template is ours."""
    preparation = Preparation(folder)
    user = service_user()
    preparation.instance("one")
    second = preparation.instance("two").path / "data"
    if user is not None:
        assert {path.lstat().st_uid for path in (second, second / "base", second / "base/1", second / "link")} == {
            user.uid}
        assert (preparation.templates / "db-1/data").stat().st_uid == 0
    assert second.stat().st_mode & 0o777 == 0o700


def test_prepared_data_is_left_alone(folder: Path) -> None:
    """A start never touches data that is there."""
    preparation = Preparation(folder)
    instance = preparation.instance("one")
    (instance.path / "data/base/1").write_text("the learner's rows")

    preparation.instance("one")

    assert preparation.steps == [MAKE, OWN]
    assert content(instance)["base/1"] == "the learner's rows"


def test_a_preparation_that_was_cut_off_is_begun_anew(folder: Path) -> None:
    """SIGKILL in the middle leaves the mark: half-made data is never started on."""
    preparation = Preparation(folder)
    path = folder / "instances" / "one"
    (path / "data").mkdir(parents=True)
    (path / "data/half").write_text("made")
    (path / "preparing").touch()

    instance = preparation.instance("one")

    assert "half" not in content(instance)
    assert not instance.data_mark.exists()


def test_data_for_other_credentials_is_personalised_again(folder: Path) -> None:
    """An instance whose spec was lost is made again with new passwords: its data must take them, and stay."""
    preparation = Preparation(folder)
    instance = preparation.instance("one")
    (instance.path / "data/base/1").write_text("the learner's rows")

    preparation.instance("one", password="another")

    assert preparation.steps == [MAKE, OWN, OWN]
    assert content(instance)["base/1"] == "the learner's rows"


def spoil_file(template: Path) -> None:
    (template / "data/base/7").write_text("")


def lose_file(template: Path) -> None:
    (template / "data/base/7").unlink()


def lose_folder(template: Path) -> None:
    shutil.rmtree(template / "data")


def lose_count(template: Path) -> None:
    (template / "count.json").write_text("{")


@pytest.mark.parametrize("damage", [spoil_file, lose_file, lose_folder, lose_count])
def test_a_damaged_template_is_made_again(folder: Path, damage: object) -> None:
    """A cache is cleaned by tools and torn by full disks; half a database would be worse than a slow start."""
    preparation = Preparation(folder)
    whole = content(preparation.instance("one"))
    assert callable(damage)
    damage(preparation.templates / "db-1")

    assert content(preparation.instance("two")) == whole
    assert content(preparation.instance("three")) == whole
    assert preparation.steps == [MAKE, OWN, MAKE, OWN, OWN]


def test_a_failed_initialise_leaves_no_template(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong once is tried again the next time."""
    preparation = Preparation(folder)
    with monkeypatch.context() as patch:
        def fail(data: Path, step: Step) -> None:
            (data / "half").write_text("made")
            raise RuntimeError("initdb failed")

        patch.setattr(preparation, "run", fail)
        with pytest.raises(RuntimeError, match="initdb failed"):
            preparation.instance("one")

    assert "half" not in content(preparation.instance("two"))
    assert "half" not in content(preparation.instance("one"))


def test_eight_first_instances_at_once_initialise_once(folder: Path) -> None:
    """Those who come while the template is being made wait for it."""
    preparation = Preparation(folder)
    threads = [threading.Thread(target=preparation.instance, args=(f"n{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert preparation.steps.count(MAKE) == 1
    assert preparation.steps.count(OWN) == 8
    assert len({str(content(InstanceFolder(path))) for path in (folder / "instances").iterdir()}) == 1


def test_a_key_is_a_file_name() -> None:
    """Whatever a recipe puts into its key stays below the templates."""
    assert template_name("initdb-1-postgres-18.6") == "initdb-1-postgres-18.6"
    assert template_name("../../etc") == "_.._etc"
    assert template_name("..") == "_"
