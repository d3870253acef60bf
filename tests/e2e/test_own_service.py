"""A lab that brings its own service: several ports, volumes, a log that says when it is ready, and the lab gone."""

from __future__ import annotations

import dataclasses
import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.cli import Labs

pytestmark = pytest.mark.e2e

TOML = """
[services.shelf]
compose = "services/shelf.yaml"
ready = "log ^the shelf is open$"
env = { SHELF_URL = "http://{host}:{port}", SHELF_PAGE = "http://{host}:{port_page}", SHELF_KEY = "{password}" }

[[milestones]]
id = "redis/shelf"
title = "Things stand on the shelf"
services = ["shelf"]
checks = "checks/test_redis_shelf.py"
brief = "briefs/redis-store.md"
"""

COMPOSE = r"""services:
  shelf:
    image: ${LABS_IMAGE_SHELF:-debian:trixie-slim}
    environment: {KEY: "${LABS_SHELF_PASSWORD:-key}"}
    ports:
      - 127.0.0.1:${LABS_SHELF_PORT:-7801}:8001
      - 127.0.0.1:${LABS_SHELF_PAGE_PORT:-7802}:8002
    volumes: ["shelf:/things", "marks:/marks"]
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 64
    command:
      - perl
      - -MIO::Socket::INET
      - -MIO::Select
      - -e
      # Open for a while before it says so: who only looks at the port comes too early.
      - |
        $$SIG{TERM} = sub { exit }; $$SIG{PIPE} = "IGNORE"; $$| = 1;
        my @doors = map { IO::Socket::INET->new(LocalPort => $$_, Listen => 64, ReuseAddr => 1) or die } 8001, 8002;
        my $$open = time + 1;
        my $$said = 0;
        while (1) {
            my @ready = IO::Select->new(@doors)->can_read(0.05);
            if (!$$said and time > $$open) { print "the shelf is open\n"; $$said = 1 }
            for my $$door (@ready) {
                my $$caller = $$door->accept or next;
                my $$line = <$$caller> // next;
                my ($$method, $$path) = split " ", $$line;
                my $$key = "";
                while (my $$head = <$$caller>) { last if $$head =~ /^\r?\n/; $$key = $$1 if $$head =~ /^x-key: *(\w+)/i }
                my $$status = !$$said ? "503 Early" : $$key eq $$ENV{KEY} ? "200 OK" : "403 Forbidden";
                if ($$said and $$method eq "POST") { open my $$thing, ">", "/things$$path"; open my $$mark, ">", "/marks$$path" }
                my $$list = join " ", map { (glob "$$_/*") } $$door == $$doors[0] ? "/things" : "/marks";
                print $$caller "HTTP/1.1 $$status\r\nConnection: close\r\nContent-Length: ", length $$list, "\r\n\r\n$$list";
            }
        }
volumes:
  shelf: {}
  marks: {}
"""

CHECKS = '''"""redis/shelf: what is put there is there, and each attempt has an empty shelf."""

import urllib.request

from orchestrator.checks import expect


def listed(shelf, port):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"X-Key": shelf["password"]})
    return urllib.request.urlopen(request, timeout=5).read().decode()


def test_the_shelf_was_empty(server, services, fault, evidence):
    """The shelf is empty at first, behind both ports, and open again after it was killed."""
    shelf = services["shelf"]
    expect.equal("", listed(shelf, shelf["port"]) + listed(shelf, shelf["ports"]["page"]), "the shelf", reason="full")
    url = f"http://127.0.0.1:{shelf['port']}/cup"
    urllib.request.urlopen(urllib.request.Request(url, method="POST", headers={"X-Key": shelf["password"]}), timeout=5)
    with fault.kill("shelf"):
        expect.status(server.get("/health"), 204, reason="health-wrong")
    expect.equal("/things/cup", listed(shelf, shelf["port"]), "the shelf after a restart", reason="lost")
    evidence("the shelf was empty, and has a cup now")


def test_another(server):
    """One more."""
    expect.status(server.get("/health"), 204, reason="health-wrong")
'''


@pytest.fixture
def own(fresh_labs: Labs, tmp_path: Path) -> Labs:
    """`labs` that finds one lab, which brings its own service, in ``tmp_path/labs/box``."""
    root = tmp_path / "labs"
    root.mkdir()
    fresh_labs.ok("new", "lab", "box", cwd=root)
    folder = root / "box"
    (folder / "lab.toml").write_text((folder / "lab.toml").read_text() + TOML)
    (folder / "services").mkdir()
    (folder / "services/shelf.yaml").write_text(COMPOSE)
    (folder / "checks/test_redis_shelf.py").write_text(CHECKS)
    return dataclasses.replace(fresh_labs, extra={"LABS_PATH": str(root)})


def ask(url: str, key: str, method: str = "GET") -> str:
    request = urllib.request.Request(url, method=method, headers={"X-Key": key})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.code)


@pytest.mark.engine("docker")
def test_from_start_to_clean_also_when_the_lab_is_gone(own: Labs, tmp_path: Path) -> None:
    """Ports, volumes, credentials and data are kept; without the lab everything but a first start still works."""
    (started,) = own.json("start", "box", "shelf")["data"]["services"]
    assert (started["ready"], started["product"]["name"], started["product"]["version"]) == (
        True, "debian", "trixie-slim")
    values = own.json("env")["data"]["variables"]
    url, page, key = values["SHELF_URL"], values["SHELF_PAGE"], values["SHELF_KEY"]
    assert {url, page} == {f"http://127.0.0.1:{port}" for port in (started["port"], started["more_ports"]["page"])}
    assert own.ok("connect", "shelf", "--url").strip() == url
    assert ask(url, "wrong") == "403"
    assert ask(f"{url}/cup", key, "POST") == "/things/cup"

    own.ok("stop")
    own.ok("start", "box", "shelf")
    # It says that it is open a second after its port is: who trusted the line of the first start came too early.
    assert (ask(url, key), ask(page, key)) == ("/things/cup", "/marks/cup")
    assert own.json("env")["data"]["variables"] == values

    shutil.rmtree(tmp_path / "labs")
    (found,) = own.json("status")["data"]["services"]
    assert (found["service"], found["ready"]) == ("shelf", True)
    assert own.json("env")["data"]["variables"] == values
    assert "the shelf is open" in own.ok("logs", "shelf")
    assert "labs connect shelf --url" in own.run("connect", "shelf").stderr
    assert own.run("connect", "shelff").returncode == 2
    own.ok("reset", "shelf", "--yes")
    assert (ask(url, key), ask(page, key)) == ("", "")
    assert len(own.json("stop", "shelf")["data"]["stopped"]) == 1
    assert len(own.json("clean", "--yes")["data"]["removed"]) == 1


@pytest.mark.engine("docker")
def test_another_definition_makes_it_anew_and_keeps_its_data(own: Labs, tmp_path: Path) -> None:
    """A lab that was changed is started as it is now."""
    own.ok("start", "box", "shelf")
    values = own.json("env")["data"]["variables"]
    ask(f"{values['SHELF_URL']}/cup", values["SHELF_KEY"], "POST")
    toml = tmp_path / "labs/box/lab.toml"
    toml.write_text(toml.read_text().replace("SHELF_URL", "SHELF"))

    assert "settings have changed" in own.ok("start", "box", "shelf", "--dry-run")
    own.ok("start", "box", "shelf")

    changed = own.json("env")["data"]["variables"]
    assert changed["SHELF"] == values["SHELF_URL"]
    assert ask(changed["SHELF"], changed["SHELF_KEY"]) == "/things/cup"


@pytest.mark.engine("docker")
def test_each_attempt_has_a_new_one(own: Labs, tmp_path: Path) -> None:
    """Its evidence is the lab's; a fault is healed when the log says so; the next run finds nothing of this one."""
    server = tmp_path / "server"
    own.ok("init", "box", "--language", "python", str(server))
    for _ in range(2):
        report = own.json("check", "redis/shelf", cwd=server)

        results = {one["id"]: (one["verdict"], one["reason"]) for one in report["data"]["milestones"]}
        assert results["redis/shelf"] == ("pass", ""), report["data"]
    assert own.json("clean", "--yes")["exit_code"] == 0


@pytest.mark.engine("embedded")
def test_without_docker_its_milestones_are_unjudged(own: Labs, tmp_path: Path) -> None:
    """What would help is said; the rest of the lab is as usual."""
    server = tmp_path / "server"
    own.ok("init", "box", "--language", "python", str(server))

    report = own.json("check", "redis/shelf", cwd=server)
    (shelf,) = [one for one in report["data"]["milestones"] if one["id"] == "redis/shelf"]
    assert (shelf["verdict"], shelf["reason"], report["exit_code"]) == ("unjudged", "no-service", 3)
    assert "--engine docker" in shelf["message"]
    started = own.run("start", "box", "--json")
    assert ("shelf is left out" in started.stderr, "--engine docker" in started.stderr) == (True, True)
    assert [one["service"] for one in json.loads(started.stdout)["data"]["services"]] == ["redis"]
    refused = own.run("start", "box", "shelf")
    assert (refused.returncode, "shelf cannot run here" in refused.stderr, "--engine docker" in refused.stderr) == (
        3, True, True)
