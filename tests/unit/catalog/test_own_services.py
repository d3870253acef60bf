"""Services of a lab's own in ``lab.toml``: everything that is wrong at once, with file and line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.catalog.manifest import read_lab, survey
from orchestrator.catalog.sources import compare
from orchestrator.errors import LabInvalid
from orchestrator.services import own_recipes

TOML = """format = 1
title = "Small"
summary = "A small lab."
step = "databases"
version = "1.0.0"

[services.minio]
compose = "services/minio.yaml"
ready = "http /minio/health/live"
memory = "200 MB"
env = { S3_URL = "http://{host}:{port}", S3_CONSOLE = "http://{host}:{port_console}", S3_KEY = "{user}" }

[tracks.files]
title = "Files"
summary = "Objects."

[[milestones]]
id = "files/put"
title = "It keeps"
services = ["minio"]
checks = "checks/test_files_put.py"
brief = "briefs/files-put.md"
"""
COMPOSE = """services:
  minio:
    image: minio/minio:2025.4
    ports:
      - 127.0.0.1:${LABS_MINIO_PORT:-9000}:9000
      - 127.0.0.1:${LABS_MINIO_CONSOLE_PORT:-9001}:9001
    mem_limit: 256m
    cpus: 1
    pids_limit: 64
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lab = tmp_path / "small"
    for name, text in {"lab.toml": TOML, "services/minio.yaml": COMPOSE, "checks/test_files_put.py": "",
                       "briefs/files-put.md": ""}.items():
        (lab / name).parent.mkdir(parents=True, exist_ok=True)
        (lab / name).write_text(text)
    return lab


def change(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def problems(folder: Path) -> list[str]:
    with pytest.raises(LabInvalid) as caught:
        read_lab(folder, services=["redis", "postgres"])
    return [str(problem) for problem in caught.value.problems]


def test_a_lab_with_a_service_of_its_own(folder: Path) -> None:
    """No versions are needed; the definition is complete without the lab's folder."""
    (need,) = read_lab(folder, services=["redis"]).services

    assert (need.name, need.versions) == ("minio", "")
    (folder / "services/minio.yaml").unlink()
    recipe = own_recipes([need])["minio"]
    assert (recipe.memory, recipe.image, dict(recipe.more_ports)) == (200_000_000, "minio/minio:2025.4", {"console": 9001})
    assert json.loads(need.own)["file"] == "services/minio.yaml"


def test_all_that_is_wrong_is_told_at_once(folder: Path) -> None:
    """In lab.toml and in the Compose file, each with its line."""
    change(folder / "lab.toml", "http /minio", "http minio")
    change(folder / "lab.toml", "{port_console}", "{port_consle}")
    change(folder / "lab.toml", '"200 MB"', '"much"')
    change(folder / "services/minio.yaml", "    cpus: 1\n", "    restart: always\n    comand: [serve]\n")

    assert problems(folder) == [
        "lab.toml:10: services.minio.memory: String should match pattern '^\\d+(\\.\\d+)? ?(kB|MB|GB)$'",
        "lab.toml:9: services.minio.ready: 'http minio/health/live' must be \"tcp\", \"http /PATH\" or \"log PATTERN\"",
        "services/minio.yaml:8: the key 'restart' of the service is not supported",
        "services/minio.yaml:9: the key 'comand' of the service is not supported; did you mean command?",
        "services/minio.yaml:2: the key 'cpus' of the service is missing",
    ]


@pytest.mark.parametrize(("old", "new", "said"), [
    ("services/minio.yaml", "services/mini.yaml",
     "lab.toml:8: services.minio.compose 'services/mini.yaml' does not exist"),
    ("services/minio.yaml", "../minio.yaml",
     "lab.toml:8: services.minio.compose '../minio.yaml' must be a path inside the lab's folder"),
    ("{port_console}", "{port_consle}",
     "lab.toml:11: services.minio.env.S3_CONSOLE: {port_consle} is not known; there are {host}, {port}, {user}, "
     "{password}, {database}, {port_console}; did you mean port_console?"),
    ("{user}", "{admin_password}", "lab.toml:11: services.minio.env.S3_KEY: {admin_password} is not known; there are "
     "{host}, {port}, {user}, {password}, {database}, {port_console}; did you mean password?"),
    ("{user}", "{user", "lab.toml:11: services.minio.env.S3_KEY: '{user': expected '}' before end of string "
     "(a brace of its own is written {{ or }})"),
    ("S3_KEY", "PORT", "lab.toml:11: services.minio.env.PORT is a variable that labs itself gives"),
    ("[tracks", "[server]\nenv = { S3_KEY = \"x\" }\n[tracks",
     "lab.toml:11: services.minio.env.S3_KEY is given by [server], too"),
    ("ready = ", "redy = ", "lab.toml:9: unknown key services.minio.redy; did you mean ready?"),
    ('compose = "services/minio.yaml"\n', "",
     "lab.toml:8: services.minio.ready is for a service of the lab's own: name its Compose file with compose"),
    ('compose = "services/minio.yaml"\n', "", "lab.toml:7: unknown service minio"),
    ("memory =", 'versions = ">>2"\nmemory =',
     "lab.toml:10: services.minio.versions: '>>2' is no range of versions, like >=17,<19"),
    ("[services.minio]", "[services.redis]", "lab.toml:7: services.redis: labs itself has something called redis: "
     "give your service another name"),
    ("[services.minio]", "[services.minoi]", "services/minio.yaml:2: the service is called minio; call it minoi, as "
     "lab.toml does"),
])
def test_what_lab_toml_may_not_say(folder: Path, old: str, new: str, said: str) -> None:
    """One sentence each, at its line."""
    change(folder / "lab.toml", old, new)

    assert said in problems(folder)


@pytest.mark.parametrize(("old", "new", "said"), [
    ("    ports:\n      - 127.0.0.1:${LABS_MINIO_PORT:-9000}:9000\n"
     "      - 127.0.0.1:${LABS_MINIO_CONSOLE_PORT:-9001}:9001\n", "",
     "services/minio.yaml:2: the key 'ports' of the service is missing"),
    ("127.0.0.1:${LABS_MINIO_PORT:-9000}", "${LABS_MINIO_PORT:-9000}", "services/minio.yaml: not understood: a port "
     "must be in the form 127.0.0.1:PORT:PORT"),
    ("  minio:\n", "  minio: &a\n", ""),
    ("services:", "serivces:", "services/minio.yaml:1: the key 'serivces' is not supported; did you mean services?"),
    ("services:", "services: [", "services/minio.yaml:3: is not valid YAML: expected ',' or ']', but got ':'"),
    ("services:\n", "services:\n  other: {}\n", "services/minio.yaml:1: there must be exactly one service"),
    ("cpus: 1", "cpus: many", "services/minio.yaml: not understood: could not convert string to float: 'many'"),
    ("    cpus: 1", "    cpus: 1\n" + "#" * 40_000, "services/minio.yaml: more than 32768 bytes"),
])
def test_what_the_compose_file_may_not_say(folder: Path, old: str, new: str, said: str) -> None:
    """Keys by name, ports, forms, sizes; an empty ``said``: nothing is wrong."""
    change(folder / "services/minio.yaml", old, new)

    if said:
        assert said in problems(folder)
    else:
        assert read_lab(folder, services=[]).services[0].name == "minio"


def test_a_link_out_of_the_lab_is_no_compose_file(folder: Path, tmp_path: Path) -> None:
    """Nothing outside of the lab's folder is read."""
    (folder / "services/minio.yaml").rename(tmp_path / "minio.yaml")
    (folder / "services/minio.yaml").symlink_to(tmp_path / "minio.yaml")

    assert problems(folder) == [
        "lab.toml:8: services.minio.compose 'services/minio.yaml' leads out of the lab's folder"]


def test_a_range_of_versions_needs_a_tag_that_is_one(folder: Path) -> None:
    """Otherwise nothing could be compared."""
    change(folder / "lab.toml", "memory =", 'versions = ">=2025"\nmemory =')
    assert read_lab(folder, services=[]).services[0].versions == ">=2025"
    change(folder / "services/minio.yaml", "2025.4", "latest")

    assert problems(folder) == ["lab.toml:10: services.minio.versions: the image's tag 'latest' is no version that could "
                                "be compared; leave versions out"]


def test_a_service_that_labs_knows_needs_versions(folder: Path) -> None:
    """They may be left out only where the lab brings the service."""
    change(folder / "lab.toml", "[tracks", "[services.redis]\n[tracks")

    assert problems(folder) == ["lab.toml:13: services.redis.versions is missing"]


def test_lint_sees_the_services_of_a_lab_that_is_wrong(folder: Path) -> None:
    """Whatever else is wrong, the milestones' services are known."""
    change(folder / "services/minio.yaml", "image", "imgae")
    outline, found = survey(folder, services=["redis"])

    assert outline is not None
    assert outline.own_services == ("minio",)
    assert not any("unknown service" in problem.message for problem in found)


def test_another_compose_file_changes_the_milestones_that_use_it(folder: Path) -> None:
    """`labs update` says so."""
    before = read_lab(folder, services=[])
    change(folder / "services/minio.yaml", "256m", "300m")

    assert compare(before, read_lab(folder, services=[])).changed == ("files/put",)


def test_another_fixture_changes_every_milestone(folder: Path, tmp_path: Path) -> None:
    """`labs update` says so of the code that checks share, wherever it is."""
    before = read_lab(folder, services=[])
    after = read_lab(Path(shutil.copytree(folder, tmp_path / "new" / "small")), services=[])
    assert compare(before, after).changed == ()
    (after.folder / "checks/fixtures").mkdir()
    (after.folder / "checks/fixtures/shop.py").write_text("# a fixture")

    assert compare(before, after).changed == ("files/put",)
