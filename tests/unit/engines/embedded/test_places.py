"""Where services may live, so that whoever they run as can get there and nobody can interfere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from orchestrator.engines.embedded import places
from orchestrator.engines.embedded.places import Access, choose_place, make_folder

WANTED, ELSEWHERE = Path("/home/ann/.local/labs"), Path("/var/lib/labs")
OPEN = [Access(0, 0o755), Access(0, 0o1777), Access(0, 0o711)]


def test_an_ordinary_user_keeps_services_where_they_were_wanted() -> None:
    """They run as that user, who can walk anywhere in the own home."""
    assert choose_place(WANTED, [Access(0, 0o755), Access(1000, 0o700)], root=False, elsewhere=ELSEWHERE) == WANTED
    assert choose_place(WANTED, None, root=False, elsewhere=ELSEWHERE) == WANTED


def test_root_keeps_them_where_nobody_can_walk_to() -> None:
    """A folder that is there, root's, open to walking all the way down, is used."""
    assert choose_place(WANTED, OPEN, root=True, elsewhere=ELSEWHERE) == WANTED


@pytest.mark.parametrize("parents", [
    None,  # not there yet: somebody may make it 0700 later
    [*OPEN, Access(0, 0o700)],  # /root
    [*OPEN, Access(1000, 0o755)],  # its owner could put a link where root writes
    [*OPEN, Access(0, 0o777)],  # anybody could
])
def test_root_goes_elsewhere_if_nobody_could_not_walk_there_or_others_could_write(
        parents: list[Access] | None) -> None:
    """Root's services run as nobody; root's files must not be where others can swap them."""
    assert choose_place(WANTED, parents, root=True, elsewhere=ELSEWHERE) == ELSEWHERE


def test_installations_of_root_stay_apart_and_share_what_can_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two homes that both cannot be used have two folders of instances and one cache, always the same ones."""
    monkeypatch.setattr(places, "is_root", lambda: True)
    one, two = Path("/nonexistent/one"), Path("/nonexistent/two")

    assert places.instances_place(one) == places.instances_place(one) != places.instances_place(two)
    assert places.instances_place(one).parent == places.ROOT_PLACE
    assert places.cache_place(one) == places.cache_place(two)


def test_an_existing_folder_is_looked_at_through_links(tmp_path: Path) -> None:
    """What counts are the folders where the files really are; of a missing one nothing is known."""
    (tmp_path / "shut").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("shut")
    found = places.access_down_to(tmp_path / "link")

    assert found is not None
    assert found[-1] == Access(os.getuid(), 0o700)
    assert places.access_down_to(tmp_path / "missing") is None


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: int) -> None:
    """A umask of 077 must not shut the service out, one of 000 must not let everybody in."""
    before = os.umask(umask)
    try:
        make_folder(tmp_path / "a" / "b", 0o711)
        make_folder(tmp_path / "a" / "b", 0o755)  # there already: left as it is
    finally:
        os.umask(before)

    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b")} == {0o711}
