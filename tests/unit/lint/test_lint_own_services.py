"""``labs lint`` about a service that a lab brings itself: its name is known, and its Compose file is read."""

from __future__ import annotations

from pathlib import Path

from support.linting import CHECKS

from orchestrator.lint.lint import lint

COMPOSE = """services:
  alarm:
    image: alarm:1
    ports: ["127.0.0.1:${LABS_ALARM_PORT:-8000}:8000"]
    mem_limit: 64m
    cpus: 0.5
    pids_limit: 64
"""
NAMED = """
def test_b(server, services, fault):
    \"\"\"B.\"\"\"
    services["alarm"]
    with fault.down("alarm"):
        server.get("/buyers")
"""


def with_alarm(lab: Path, listed: str = '"postgres", "redis", "alarm"') -> Path:
    """The lab with a service of its own, and a check that names it."""
    (lab / "services").mkdir()
    (lab / "services/alarm.yaml").write_text(COMPOSE)
    toml = (lab / "lab.toml").read_text().replace('"postgres", "redis"', listed)
    (lab / "lab.toml").write_text(f'{toml}\n[services.alarm]\ncompose = "services/alarm.yaml"\n')
    (lab / CHECKS).write_text((lab / CHECKS).read_text() + NAMED)
    return lab


def test_a_service_of_the_labs_own_is_known(lab: Path) -> None:
    """Its name may stand in milestones, in faults and in `services`."""
    assert [str(one) for one in lint(with_alarm(lab))] == []


def test_a_service_that_a_check_names_must_be_listed(lab: Path) -> None:
    """By the lab, and by the milestone: only these run."""
    with_alarm(lab, '"postgres", "redis"')
    (found,) = lint(lab)
    assert (found.file, found.line, found.rule) == (CHECKS, 20, "service-not-listed")
    (lab / CHECKS).write_text((lab / CHECKS).read_text().replace('services["alarm"]', 'services["alram"]'))

    assert any(one.rule == "unknown-service" and "did you mean alarm?" in one.message for one in lint(lab))


def test_a_compose_file_that_is_wrong_is_found_where_it_is(lab: Path) -> None:
    """In its own file, at its line."""
    with_alarm(lab)
    (lab / "services/alarm.yaml").write_text(COMPOSE.replace("cpus", "cpu"))

    assert {(one.file, one.line, one.rule) for one in lint(lab)} == {
        ("services/alarm.yaml", 6, "bad-compose"), ("services/alarm.yaml", 2, "bad-compose")}
