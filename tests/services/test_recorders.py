"""What a service records of the learner's server is all of it, only that, and moves no counter that evidence is read from."""

from __future__ import annotations

import time

import psycopg
import pytest
import redis as redis_client
from support.services import Service

from orchestrator.services.base import Recorded
from orchestrator.services.postgres.evidence.reader import Postgres
from orchestrator.services.redis.evidence import Redis


def url(service: Service) -> str:
    values = service.recipe.environment(service.endpoint, service.credentials)
    return values.get("DATABASE_URL") or values["REDIS_URL"]


def test_statements_with_rows_parameters_and_refusals(postgres_service: Service, postgres: Postgres) -> None:
    """In the order in which they were sent, by whom they were sent, at the time at which they began."""
    recorder = postgres_service.recipe.record(postgres_service.endpoint, postgres_service.credentials)
    began = time.time()
    with psycopg.connect(url(postgres_service), autocommit=True) as target:
        target.execute("CREATE TABLE t (a int PRIMARY KEY)")
        target.execute("INSERT INTO t SELECT * FROM generate_series(1, 5000)")
        target.execute("SELECT a FROM t WHERE a %% 2500 = %s", [0])
        with pytest.raises(psycopg.errors.UniqueViolation):
            target.execute("INSERT INTO t VALUES (%s)", [1])
    postgres.plant("INSERT INTO t VALUES (%s) RETURNING a", [9_999])  # the checker's: not in the record

    recording = recorder.stop()

    create, insert, select, refused = recording.records
    assert recording.gap == ""
    assert create.text.startswith("CREATE TABLE")
    assert (insert.rows, insert.source) == (5000, "log+plan")
    assert (select.rows, select.text) == (2, "SELECT a FROM t WHERE a % 2500 = $1  [$1 = '0']")
    assert select.note == "Seq Scan on t: read 4998 rows for nothing"
    assert refused.refused
    assert "23505" in refused.note
    assert began - 0.01 <= create.at <= insert.at <= select.at <= time.time()
    assert len({record.session for record in recording.records}) == 1


def test_plans_can_still_be_read_as_evidence(postgres_service: Service, postgres: Postgres) -> None:
    """Each once, while the recorder has its own switched on."""
    recorder = postgres_service.recipe.record(postgres_service.endpoint, postgres_service.credentials)
    with psycopg.connect(url(postgres_service), autocommit=True) as target:
        with postgres.plans() as plans:
            target.execute("SELECT 41")
        target.execute("SELECT 42")
    recording = recorder.stop()

    assert [plan.query for plan in plans.list] == ["SELECT 41"]
    assert [record.text for record in recording.records] == ["SELECT 41", "SELECT 42"]


def test_the_last_commands_before_the_stop(redis_service: Service, redis: Redis) -> None:
    """What was answered before the recorder is stopped is in the record, even where it is not read yet."""
    recorder = redis_service.recipe.record(redis_service.endpoint, redis_service.credentials)
    with redis_client.Redis.from_url(url(redis_service)) as target:
        pipeline = target.pipeline(transaction=False)
        for number in range(2500):
            pipeline.set(f"seat:{number}", "x" * 2000)
        pipeline.execute()

        recording = recorder.stop()

    assert recording.gap == ""
    assert [record.text.split()[1] for record in recording.records] == [f"seat:{number}" for number in range(2500)]


def test_commands_without_ours(redis_service: Service, redis: Redis) -> None:
    """Neither the evidence reader's nor the recipe's commands are in the record."""
    recorder = redis_service.recipe.record(redis_service.endpoint, redis_service.credentials)
    began = time.time()
    with redis_client.Redis.from_url(url(redis_service)) as target:
        target.set("hold:1:2", "x y")
        redis.get("hold:1:2")
        redis_service.recipe.incarnation(redis_service.endpoint, redis_service.credentials)
        target.pipeline(transaction=False).get("a").get("b").execute()

    recording = recorder.stop()

    assert [record.text for record in recording.records] == ["SET hold:1:2 'x y'", "GET a", "GET b"]
    assert all(began - 0.01 <= record.at <= time.time() for record in recording.records)


def test_recording_moves_no_counter_of_redis(redis_service: Service, redis: Redis) -> None:
    """Reads and commands are those of the target, as without a recorder."""
    recorder = redis_service.recipe.record(redis_service.endpoint, redis_service.credentials)
    with redis_client.Redis.from_url(url(redis_service)) as target:
        target.ping()
        with redis.commands() as commands, redis.reads() as reads:
            for _ in range(20):
                target.get("a")
    recorder.stop()

    assert (commands.calls, reads.count) == ({"GET": 20}, 20)


def test_a_redis_that_ends_ends_the_record(redis_service: Service, redis: Redis) -> None:
    """What was seen stays; that there is no more is said."""
    recorder = redis_service.recipe.record(redis_service.endpoint, redis_service.credentials)
    with redis_client.Redis.from_url(url(redis_service)) as target:
        target.get("a")
        redis.client.client_kill_filter(_type="normal")  # a stopped Redis closes all; MONITOR's connection is one
        redis.client.client_kill_filter(_type="slave")  # as which Redis counts a monitor

    recording = _after_its_end(recorder)

    assert [record.text for record in recording.records] == ["GET a"]
    assert "stopped" in recording.gap


def _after_its_end(recorder: object) -> Recorded:
    recorder._thread.join(5)  # type: ignore[attr-defined]
    recording: Recorded = recorder.stop()  # type: ignore[attr-defined]
    return recording
