"""Reports to render: one with every verdict, made by hand."""

from __future__ import annotations

from orchestrator.model import Fidelity, Product, Verdict
from orchestrator.report.result import CheckResult, Exchange, MilestoneResult, Report


def exchange(response: str = '{"code":"not_found"}') -> Exchange:
    """What a failing check sent and got."""
    return Exchange("POST", "/buyers", '{"name":"Ann"}', 404, response, "curl -i http://127.0.0.1:8080/buyers")


def failed(milestone: str = "postgres/crud", *, what: str = "the row of buyer 1", seen: str = "no row") -> MilestoneResult:
    """A milestone with one passed check and one failed one."""
    return MilestoneResult(
        milestone, "Buyers and events live in PostgreSQL", Verdict.FAIL, "next",
        checks=(
            CheckResult(f"{milestone}/test_stored", "Buyers are rows.", Verdict.FAIL, 0.2, "not-stored", what,
                        "1 row", seen, "checks/test_sales_crud.py:12", (), exchange()),
            CheckResult(f"{milestone}/test_answered", "Rows are answered.", Verdict.PASS, 0.1,
                        evidence=("PostgreSQL had the row",)),
        ),
        reason="not-stored", brief="briefs/postgres-crud.md", points=10, phases={"space": 0.1, "checks": 0.5},
        server_log="listening\nPOST /buyers 404\n", service_logs={"postgres": "LOG: ready\n"},
        logs_of_failure=True,
    )


def report(*milestones: MilestoneResult, interrupted: bool = False) -> Report:
    """A report with these milestones, or with one of each verdict."""
    every = (
        MilestoneResult("postgres/schema", "Tables", Verdict.PASS, "regression",
                        checks=(CheckResult("postgres/schema/test_tables", "Tables are there.", Verdict.PASS, 0.4,
                                            evidence=("PostgreSQL has the 4 tables",)),), points=5,
                        phases={"checks": 0.4}),
        failed(),
        MilestoneResult("postgres/pool", "A pool", Verdict.TIMEOUT, "asked", reason="too-slow", message="no answer"),
        MilestoneResult("postgres/indexes", "An index", Verdict.INVALID, "asked", reason="build-failed",
                        message="`go build` failed"),
        MilestoneResult("redis/hold", "A hold", Verdict.BLOCKED, "asked", reason="needs",
                        message="needs postgres/crud, which has not passed", advice="labs check postgres/crud"),
        MilestoneResult("redis/live", "Live", Verdict.ERROR, "asked", reason="service-died", message="Redis died",
                        attempts=2),
        MilestoneResult("redis/outage", "Outage", Verdict.UNJUDGED, "asked", reason="no-service", message="no Redis"),
        MilestoneResult("redis/counters", "Counters", Verdict.BLOCKED, "later", reason="later"),
    )
    return Report(
        lab="databases", lab_version="1.0.0", lab_commit="c0ffee", labs_version="0.1.0", seed=7,
        started_at="2026-01-02T03:04:05+00:00", seconds=4.2, engine="docker 27.0", engine_reason="it answers",
        isolation="local, not isolated", products={"postgres": Product("PostgreSQL", "18.1", Fidelity.GENUINE)},
        milestones=milestones or every, interrupted=interrupted,
    )
