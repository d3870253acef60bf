"""A role that two services can play: one server, judged on each, with the evidence of that one."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Labs

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.engine("embedded")]

LAB = """\
format = 1
title = "Words"
summary = "Where words are kept."
step = "words"
version = "1.0.0"

[services.redis]
versions = ">=7.2,<10"

[services.postgres]
versions = ">=15,<19"

[roles.store]
services = ["redis", "postgres"]
variable = "STORE_URL"
"""
TRACK = """
[tracks.{service}]
title = "On {service}"
summary = "Words."

[[milestones]]
id = "{service}/where"
title = "The server knows where its words are"
services = ["{service}"]
checks = "checks/test_where.py"
brief = "briefs/where.md"
budget = 60
"""
ALONE = """
[[milestones]]
id = "redis/alone"
title = "Only here"
services = ["redis"]
checks = "checks/test_alone.py"
brief = "briefs/where.md"
budget = 60
"""
CHECK = """\
def test_where(server, store, evidence):
    answer = server.get("/where")
    kind = type(store).__name__
    if kind == "Postgres":
        assert store.value("SELECT 1") == 1
    assert (answer.json(), kind) in [("redis", "Redis"), ("postgresql", "Postgres")]
    evidence(f"the server and the check both speak to {kind}")
"""
SERVER = """\
import http.server, json, os

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(os.environ["STORE_URL"].partition(":")[0]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@dataclasses.dataclass
class Place:
    """A lab with a role, `labs` that knows it, and a server's folder."""

    labs: Labs
    folder: Path

    def verdicts(self, *arguments: str) -> dict[str, str]:
        data = self.labs.json("check", *arguments, cwd=self.folder)["data"]
        return {one["id"]: one["verdict"] for one in data["milestones"] if one["role"] != "later"}


@pytest.fixture
def place(labs: Labs, tmp_path: Path) -> Iterator[Place]:
    lab, folder = tmp_path / "words", tmp_path / "server"
    for part in (lab / "briefs", lab / "checks", folder):
        part.mkdir(parents=True)
    (lab / "lab.toml").write_text(
        LAB + TRACK.format(service="redis") + ALONE + TRACK.format(service="postgres"))
    (lab / "briefs/where.md").write_text("# Where\n\nSay it.\n")
    (lab / "checks/test_where.py").write_text(CHECK)
    (lab / "checks/test_alone.py").write_text("def test_alone(server): server.get('/where')\n")
    (folder / "server.py").write_text(SERVER)
    (folder / "workspace.toml").write_text(f'format = 1\nlab = "words"\nrun = ["{sys.executable}", "server.py"]\n')
    yield Place(dataclasses.replace(labs, extra={"LABS_PATH": str(tmp_path)}), folder)
    labs.ok("clean", "--yes")


def test_the_same_milestone_on_two_services(place: Place) -> None:
    """Each time the server has that service's address, and the check its evidence. By itself only the usual one."""
    assert place.verdicts("redis", "--on", "postgres") == {"postgres/where": "pass"}
    assert place.verdicts("--on", "postgres") == {"postgres/where": "pass"}
    assert place.verdicts("redis/where") == {"redis/where": "pass"}
    assert place.verdicts("--all") == {"redis/where": "pass", "redis/alone": "pass"}


def test_what_is_not_there_is_said(place: Place) -> None:
    """A milestone that only the usual service has, one service too many, and a word that stands for nothing."""
    said = place.labs.run("check", "redis", "--on", "postgres", "--only", cwd=place.folder)
    assert "note: not judged on postgres: redis/alone" in said.stderr
    for arguments, words in ((["redis/alone", "--on", "postgres"], "none of redis/alone is judged on postgres"),
                             (["redis", "--on", "redis"], "no milestones on 'redis'"),
                             (["--all", "--on", "postgres"], "--all judges every milestone where it belongs")):
        refused = place.labs.run("check", *arguments, cwd=place.folder)
        assert (refused.returncode, words in refused.stderr) == (2, True), refused.stderr
