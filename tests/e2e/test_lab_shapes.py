"""Labs of unusual shapes, in every command: without services, and with tracks that need different ones."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Labs
from support.small_labs import make_lab
from support.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.engine("embedded")]

WRONG = ('return 200, {"hello": name}', 'return 200, {"hello": "you"}')


@dataclasses.dataclass
class Place:
    """A lab, `labs` that knows it, and a server's folder that is right at first."""

    labs: Labs
    lab: Path
    folder: Path

    def ok(self, *arguments: str) -> str:
        return self.labs.ok(*arguments, cwd=self.folder)

    def judged(self, *arguments: str) -> dict[str, Any]:
        data: dict[str, Any] = self.labs.json("check", *arguments, cwd=self.folder)["data"]
        return data

    def edit(self, old: str, new: str) -> None:
        path = self.folder / "server.py"
        path.write_text(path.read_text().replace(old, new))


def place(labs: Labs, root: Path, name: str, tracks: tuple[str, ...]) -> Place:
    lab = make_lab(root, name, tracks)
    knowing = dataclasses.replace(labs, extra={"LABS_PATH": str(root)})
    folder = root / "my-server"
    knowing.ok("init", name, str(folder), "--language", "python")
    shutil.copy(lab / "solutions/accepted/python/server.py", folder)
    return Place(knowing, lab, folder)


@pytest.fixture
def plain(labs: Labs, tmp_path: Path) -> Place:
    """No services at all."""
    return place(labs, tmp_path, "plain", ("http",))


@pytest.fixture
def mixed(labs: Labs, tmp_path: Path) -> Iterator[Place]:
    """A track without a service, one with Redis, one with PostgreSQL."""
    made = place(labs, tmp_path, "mixed", ("http", "keys", "rows"))
    yield made
    made.labs.ok("clean", "--yes")


def test_a_lab_without_services_in_every_command(plain: Place, tmp_path: Path) -> None:
    """Nothing to start is said kindly, and no command stumbles over it."""
    assert "plain has no services: there is nothing to start" in plain.ok("start", "plain")
    assert "labs init plain" in plain.ok("start", "plain", "--dry-run")
    assert "nothing to get" in plain.ok("pull", "plain")
    assert "Services: none" in plain.ok("info", "plain")
    assert "labs start" not in plain.ok("info", "plain")
    for command in ("list", "status", "stop", "reset --yes", "clean --yes", "doctor", "brief", "lint plain", ""):
        plain.ok(*command.split())
    assert plain.labs.json("env", cwd=plain.folder)["data"]["variables"] == {}
    for command in ("connect redis -c PING", "connect redis --url", "logs redis", "start plain redis"):
        answer = plain.labs.json(*command.split(), cwd=plain.folder)
        assert (answer["exit_code"], answer["errors"][0]["code"]) == (2, "unknown-service")

    report = plain.judged()
    assert [(one["verdict"], one["attempts"]) for one in report["milestones"]] == [("pass", 1)]
    assert report["products"] == {}
    formats = ("github", "html", "junit", "json")
    plain.ok("check", "--all", *(word for one in formats for word in ("--format", f"{one}={tmp_path / one}")))
    assert all((tmp_path / one).is_file() for one in formats)
    for command in ("trace", "hint", "share", "bundle --yes bundle.zip", "trace --html trace.html"):
        plain.ok(*command.split())
    proof = plain.labs.json("verify", "plain", "--quick", "--repeat", "0", cwd=plain.folder)["data"]
    assert proof["holds"], proof


def test_a_failure_without_services_can_be_looked_into(plain: Place) -> None:
    """`labs run` runs the server where it failed, on the check's port; there is no service to connect to."""
    plain.edit(*WRONG)
    (result,) = plain.judged()["milestones"]
    assert (result["verdict"], result["reason"]) == ("fail", "wrong-name")
    answer = plain.labs.json("connect", "redis", "--failed", cwd=plain.folder)
    assert answer["errors"][0]["code"] == "unknown-service"

    with running(plain, result["port"]) as url:
        assert b"you" in urllib.request.urlopen(f"{url}/hello/ada", timeout=10).read()


def test_a_server_in_labs_run_without_services_is_judged_as_it_runs(plain: Place) -> None:
    """Without a failure: `labs check` in another terminal."""
    with running(plain, 18080, "--port", "18080"):
        report = plain.judged()

    assert report["isolation"] == "local, attached to labs run"
    assert [one["verdict"] for one in report["milestones"]] == ["pass"]


def test_a_watch_without_services_judges(plain: Place) -> None:
    """One run, and the end."""
    assert watched(plain, "http/hello").count("pass") >= 1


def test_each_track_starts_what_it_needs_and_no_more(mixed: Place) -> None:
    """Redis for one, PostgreSQL for another, nothing for the third: as the server asks only for what it uses."""
    for milestone, products in (("http/hello", set()), ("keys/keep", {"redis"}), ("rows/keep", {"postgres"})):
        mixed.ok("stop")  # what an earlier check left running would be there, too
        report = mixed.judged(milestone)
        assert [(one["verdict"], one["attempts"]) for one in report["milestones"]
                if one["role"] == "asked"] == [("pass", 1)]
        assert set(report["products"]) == products, milestone
    report = mixed.judged("--all")
    assert [one["verdict"] for one in report["milestones"]] == ["pass"] * 3
    assert set(report["products"]) == {"redis", "postgres"}


def test_a_server_that_uses_everything_at_its_start_wakes_it(mixed: Place) -> None:
    """The milestone needs nothing; the server connects to both at its start, and is right."""
    mixed.edit("Server((", 'keep("keys", "a", "b")\nrows().close()\nServer((')

    report = mixed.judged("http/hello")

    assert report["milestones"][0]["verdict"] == "pass", report
    assert set(report["products"]) == {"redis", "postgres"}


def test_a_lab_of_several_tracks_in_every_command(mixed: Place) -> None:
    """One of its services, then all; each is found by its name."""
    mixed.ok("start", "mixed", "redis")
    assert {one["service"] for one in mixed.labs.json("status")["data"]["services"]} == {"redis"}
    assert mixed.ok("connect", "redis", "-c", "PING").strip() == "PONG"
    answer = mixed.labs.json("connect", "postgres", "-c", "SELECT 1", cwd=mixed.folder)
    assert answer["errors"][0]["code"] == "not-started"
    mixed.ok("start", "mixed")
    assert {"REDIS_URL", "DATABASE_URL"} <= set(mixed.labs.json("env", cwd=mixed.folder)["data"]["variables"])
    for command in ("info mixed", "lint mixed", "pull mixed", "logs redis --tail 1", "stop postgres", "reset redis --yes",
                    "stop", "brief", ""):
        mixed.ok(*command.split())
    proof = mixed.labs.json("verify", "mixed", "--quick", "--repeat", "0", cwd=mixed.folder)["data"]
    assert proof["holds"], proof


def test_a_failure_of_one_track_leaves_the_others_asleep_and_awakes_them(mixed: Place) -> None:
    """Where keys/keep failed there is only Redis; a server in `labs run` that asks for PostgreSQL gets it all the same."""
    mixed.edit('call("SET", f"word:{name}", word)', 'call("SET", f"other:{name}", word)')
    report = mixed.judged("keys/keep")
    (result,) = [one for one in report["milestones"] if one["role"] == "asked"]
    assert (result["verdict"], set(report["products"])) == ("fail", {"redis"})
    assert mixed.ok("connect", "redis", "--failed", "-c", "DBSIZE").strip() == "(integer) 1"

    with running(mixed, result["port"]) as url:
        asked = urllib.request.Request(f"{url}/rows/a", b'{"word": "b"}', method="PUT")
        assert urllib.request.urlopen(asked, timeout=30).status == 204

    # What woke there stays there, until the next check.
    assert mixed.ok("connect", "postgres", "--failed", "-c", "SELECT word FROM words").split()[-1:] != []
    mixed.ok("stop")
    instances = mixed.labs.home / "data/embedded"
    assert not [one for one in instances.glob("*") if "check-" in one.name]


def test_labs_run_offers_what_a_later_track_needs(mixed: Place) -> None:
    """The next milestone needs nothing, so both sleep, and wake when the running server asks for them."""
    with running(mixed, 18081, "--port", "18081") as url:
        asked = urllib.request.Request(f"{url}/keys/a", b'{"word": "b"}', method="PUT")
        assert urllib.request.urlopen(asked, timeout=30).status == 204
        report = mixed.judged("--all")

    assert [one["verdict"] for one in report["milestones"]] == ["pass"] * 3, report


class running:
    """`labs run` in the background, its server answering."""

    def __init__(self, place: Place, port: int, *arguments: str) -> None:
        self._process = place.labs.popen("run", *arguments, cwd=place.folder)
        self._url = f"http://127.0.0.1:{port}"

    def __enter__(self) -> str:
        def answers() -> bool:
            if self._process.poll() is not None:
                raise AssertionError(self._process.communicate())
            try:
                return bool(urllib.request.urlopen(f"{self._url}/health", timeout=2).status)
            except OSError:
                return False

        until(answers, seconds=60)
        return self._url

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise


def watched(place: Place, milestone: str) -> str:
    """What a watch said until it had judged the milestone."""
    process = place.labs.popen("watch", cwd=place.folder)
    assert process.stdout is not None
    said = ""
    try:
        for line in process.stdout:
            said += line
            if milestone in line and "pass" in line:
                break
    finally:
        process.terminate()
        process.communicate(timeout=30)
    return said
