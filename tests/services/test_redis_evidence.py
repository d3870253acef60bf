"""What a check reads from Redis is what Redis saw, and nothing of the checker's own."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest
import redis as redis_client
from support.services import Service
from support.wait import until

from orchestrator.checks.errors import SchemaWrong, ServiceLost
from orchestrator.checks.words import short
from orchestrator.model import Ready
from orchestrator.services.redis.evidence import Redis


@pytest.fixture
def target(redis_service: Service, redis: Redis) -> Iterator[redis_client.Redis]:
    """The learner's server, connected."""
    url = redis_service.url("REDIS_URL")
    client = redis_client.Redis.from_url(url, decode_responses=True)
    client.ping()
    yield client
    client.close()


def test_keys_are_read_as_the_learner_wrote_them(redis, target) -> None:
    """Strings, expiries, types, patterns and sorted sets."""
    target.set("hold:1:2", "h", px=60_000)
    target.set("views:1", 3)
    target.zadd("trending", {"a": 1, "b": 5, "c": 3})
    assert redis.get("hold:1:2") == "h"
    assert redis.get("hold:1:3") is None
    assert 50_000 < redis.pttl("hold:1:2") <= 60_000
    assert redis.pttl("views:1") == -1
    assert redis.pttl("nothing") is None
    assert (redis.type("trending"), redis.type("views:1"), redis.type("nothing")) == ("zset", "string", "none")
    assert redis.keys("hold:*") == ["hold:1:2"]
    assert redis.zset("trending") == [("b", 5.0), ("c", 3.0), ("a", 1.0)]


def test_what_is_no_text_is_read_all_the_same(redis, redis_service) -> None:
    """Java's serialisation and pickle are bytes: they equal no text, and a message shows them; keys can be asked for."""
    url = redis_service.url("REDIS_URL")
    with redis_client.Redis.from_url(url) as java:
        java.set(b"\xac\xed\x00\x05hold", b"\xac\xed\x00\x05t")
        java.zadd("trending", {b"\xff": 1})

    (key,) = redis.keys("*hold")
    assert redis.get(key) != "t"
    assert short(redis.get(key)) == "\\xac\\xed\\x00\\x05t"
    assert [short(member) for member, _ in redis.zset("trending")] == ["\\xff"]
    assert redis.delete(key)


def test_a_key_of_another_type_is_the_learners_fault(redis, target) -> None:
    """As the storage contract says what each key holds."""
    target.lpush("views:1", "x")
    for ask in (lambda: redis.get("views:1"), lambda: redis.zset("views:1")):
        with pytest.raises(SchemaWrong) as raised:
            ask()
        assert raised.value.reason == "schema-wrong-type"


def test_a_script_that_never_ends_is_the_learners_fault(redis_service, redis) -> None:
    """The check fails with Redis' own word, BUSY. Redis is a fit witness afterwards, and the next attempt begins clean."""
    recipe, endpoint, own = redis_service.recipe, redis_service.endpoint, redis_service.credentials
    before = recipe.incarnation(endpoint, own)
    redis.client.config_set("busy-reply-threshold", 50)
    learner = redis_client.Redis.from_url(redis_service.url("REDIS_URL"))
    learner.set("a", 1)
    endless = threading.Thread(target=lambda: suppressed(lambda: learner.eval("while true do end", 0)))
    endless.start()
    try:
        until(lambda: busy(redis_service.admin["url"]))
        asked = redis.client.pipeline(transaction=False).get("a").get("b")
        for ask in (lambda: redis.get("a"), lambda: redis.client.strlen("a"), asked.execute):
            with pytest.raises(SchemaWrong, match="BUSY") as raised:
                ask()
            assert raised.value.reason == "schema-script-endless"

        assert recipe.probe(endpoint, own) == Ready()
        assert recipe.incarnation(endpoint, own) == before
    finally:
        redis_service.fresh()
        endless.join(10)
        redis.client.config_set("busy-reply-threshold", 5000)
    assert redis.keys("*") == []


def suppressed(act: Callable[[], object]) -> None:
    with contextlib.suppress(redis_client.RedisError):
        act()


def busy(url: str) -> bool:
    with redis_client.Redis.from_url(url) as client:
        try:
            client.ping()
        except redis_client.ResponseError:
            return True
    return False


def test_what_is_planted_is_there_for_the_learner(redis, target) -> None:
    """With its expiry; and gone when deleted or flushed."""
    redis.plant("hold:1:2", "h", px=5000)
    assert (target.get("hold:1:2"), 0 < target.pttl("hold:1:2") <= 5000) == ("h", True)
    assert redis.delete("hold:1:2")
    assert not redis.delete("hold:1:2")
    redis.plant("a", 1)
    redis.flush()
    assert redis.keys("*") == []


def test_commands_are_counted_without_the_checkers(redis, target) -> None:
    """Also those that run inside scripts; sub-commands by their full names; refused ones apart."""
    with redis.commands() as seen:
        target.set("a", 1)
        target.eval("return redis.call('INCR', 'a')", 0)
        for _ in range(3):
            redis.get("a")
        redis.client.pipeline().set("b", 1).incr("a").execute()
        redis.client.config_get("save")
        target.client_id()
        with pytest.raises(redis_client.ResponseError):
            target.execute_command("CONFIG", "GET", "dir")
    assert seen.calls == {"SET": 1, "EVAL": 1, "INCR": 1, "CLIENT|ID": 1}
    assert seen.rejected == 1


def test_keys_that_walk_over_everything_are_seen(redis, target) -> None:
    """`KEYS *` is what the leaderboard milestone looks for; the checker's own SCAN is not taken for the learner's."""
    with redis.commands() as seen:
        target.keys("*")
        redis.keys("*")
    assert seen.calls == {"KEYS": 1}


def test_a_new_connection_of_the_checkers_is_not_counted(redis_service, redis, target) -> None:
    """Its greetings happen before the first reading: they neither count nor are they taken off twice."""
    redis.get("a")
    reader = Redis(redis_service.admin)
    try:
        with reader.commands() as seen:
            target.client_setname("box-office")
        with reader.reads() as trips:
            reader.get("a")
            redis.get("a")
    finally:
        reader.close()
    assert seen.calls == {"CLIENT|SETNAME": 1}
    assert trips.count == 1


def test_a_pipeline_is_fewer_reads(redis, target) -> None:
    """One hundred SETs one by one are a hundred reads, in a pipeline a handful; the checker's own are taken off."""
    with redis.reads() as one_by_one:
        for number in range(100):
            target.set(f"k{number}", 1)
        redis.get("k1")
    with redis.reads() as together:
        pipeline = target.pipeline(transaction=False)
        for number in range(100):
            pipeline.set(f"k{number}", 1)
        pipeline.execute()
    assert one_by_one.count == 100
    assert together.count == 1


def test_counters_that_were_reset_are_an_error(redis, target) -> None:
    """Never a verdict about the learner."""
    target.set("a", 1)
    for block in (redis.commands, redis.reads):
        for _ in range(20):
            target.get("a")
        with pytest.raises(ServiceLost):
            with block():
                redis.client.config_resetstat()


def test_clients_are_the_learners(redis, target) -> None:
    """The checker's own connections are not among them."""
    target.client_setname("box-office")
    assert [client["name"] for client in redis.clients()] == ["box-office"]


def test_the_reader_goes_on_after_a_restart(redis_service, redis, target) -> None:
    """With the data that was acknowledged, the same users and rights; the incarnation is another."""
    target.set("views:1", 5)
    before = redis_service.recipe.incarnation(redis_service.endpoint, redis_service.credentials)
    redis_service.restart()
    assert redis.get("views:1") == "5"
    assert target.get("views:1") == "5"
    assert before != redis_service.recipe.incarnation(redis_service.endpoint, redis_service.credentials)


def test_a_restart_keeps_what_a_transaction_or_a_script_wrote(redis_service, target) -> None:
    """Redis reads its file of commands again as the user ``default``, and each transaction in it with that user's rights."""
    target.set("alone", 1)
    with target.pipeline(transaction=True) as transaction:
        transaction.set("first", 1)
        transaction.set("second", 2)
        transaction.execute()
    target.eval("redis.call('SET', KEYS[1], 3) redis.call('SET', KEYS[2], 4)", 2, "third", "fourth")

    redis_service.restart()

    assert target.mget("alone", "first", "second", "third", "fourth") == ["1", "1", "2", "3", "4"]


def test_an_unreachable_service_is_lost(redis_service) -> None:
    """Not a fail: the learner did nothing wrong."""
    with pytest.raises(ServiceLost):
        Redis({"url": "redis://a:b@127.0.0.1:1/0", "user": "a"}).get("x")
