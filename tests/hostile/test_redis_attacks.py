"""What a server may do in its Redis to hide, forge or keep something: each attack, then what a check does.

That its user may not do what is an administrator's is in ``test_services.py``; here is what it may do.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis as redis_client
from support.services import Service, running

from orchestrator.errors import EnvironmentFault
from orchestrator.services.redis.evidence import Redis


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running("redis") as one:
        yield one


@pytest.fixture
def own(service: Service) -> Iterator[redis_client.Redis]:
    """The learner's connection to an empty Redis."""
    service.fresh()
    url = service.url("REDIS_URL")
    with redis_client.Redis.from_url(url, decode_responses=True) as client:
        yield client


@pytest.fixture
def reader(service: Service, own: redis_client.Redis) -> Iterator[Redis]:
    made = Redis(service.admin)
    yield made
    made.close()


@pytest.mark.parametrize("hidden", [
    ("EVAL", "return redis.call('KEYS', '*')", "0"),
    ("EVAL", "return redis.pcall('KEYS', '*')", "0"),
    ("EVAL_RO", "return redis.call('KEYS', '*')", "0"),
    ("FCALL", "peek", "0"),
])
def test_no_command_is_hidden_in_a_script(
    own: redis_client.Redis, reader: Redis, hidden: tuple[str, ...]
) -> None:
    """Redis counts what scripts and functions run, too."""
    own.function_load("#!lua name=peeking\nredis.register_function('peek', function() return redis.call('KEYS', '*') end)")
    with reader.commands() as seen:
        own.execute_command(*hidden)
    assert seen.calls.get("KEYS") == 1


@pytest.mark.parametrize("name", ["labs-checks", "labs-recipe", "labs-monitor"])
def test_a_connection_with_our_name_is_still_the_learners(own: redis_client.Redis, reader: Redis, name: str) -> None:
    """It is known by its user; it is counted, and listed."""
    with own.client() as one:
        one.execute_command("CLIENT", "SETNAME", name)
        with reader.commands() as seen:
            one.execute_command("KEYS", "*")
        assert seen.calls == {"KEYS": 1}
        assert name in [client["name"] for client in reader.clients()]


def test_many_names_of_commands_do_not_hide_one(own: redis_client.Redis, reader: Redis) -> None:
    """Refused and unknown commands, an aborted transaction and a changed protocol leave the counts as they are."""
    with reader.commands() as seen, own.client() as one:
        for command in ("NOSUCH 1", "CONFIG RESETSTAT", "MULTI", "KEYS *", "DISCARD", "KEYS *", "CLIENT REPLY ON"):
            try:
                one.execute_command(*command.split())
            except redis_client.ResponseError:
                continue
    assert seen.calls["KEYS"] == 1


def test_a_function_cannot_take_the_place_of_a_command(own: redis_client.Redis, reader: Redis) -> None:
    """The checker's own reads are Redis' commands, whatever functions and scripts there are."""
    own.function_load("#!lua name=liar\nredis.register_function('get', function() return 'forged' end)")
    own.set("views:7", 3)
    assert reader.get("views:7") == "3"
    with pytest.raises(redis_client.ResponseError):
        own.eval("redis.call = function() return 'forged' end return 1", 0)
    assert reader.zset("trending") == []


@pytest.mark.parametrize("left", [
    ("SET", "memory", "of the last attempt"),
    ("EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", "memory"),
    ("FUNCTION", "LOAD", "#!lua name=memory\nredis.register_function('m', function() return 1 end)"),
    ("SCRIPT", "LOAD", "return 'memory'"),
    ("XADD", "memory", "*", "a", "b"),
])
def test_the_next_attempt_finds_nothing(
    service: Service, own: redis_client.Redis, reader: Redis, left: tuple[str, ...]
) -> None:
    """No key in any database, no function, no script, no connection."""
    own.execute_command(*left)
    with own.client() as other:
        other.execute_command("SELECT", "9")
        other.execute_command("SET", "memory", "elsewhere")
        service.fresh()
        assert reader.clients() == []
    assert reader.client.info("keyspace") == {}
    assert reader.client.function_list() == []
    assert own.script_exists("6ab02ca5d3fba7a1ee2d4ba5bc3ba5d1d8e0de1b") == [False]


@pytest.mark.parametrize("spare", [(), ("kept",)])
def test_emptying_under_a_server_empties_every_database(
    service: Service, own: redis_client.Redis, reader: Redis, spare: tuple[str, ...]
) -> None:
    """Keys in database 9 are out of a check's sight, and go as well."""
    own.mset({"kept": 1, "gone": 1})
    with own.client() as other:
        other.execute_command("SELECT", "9")
        other.execute_command("SET", "memory", "elsewhere")
        service.recipe.clear(service.endpoint, service.credentials, spare=spare)  # type: ignore[attr-defined]
        assert other.execute_command("GET", "memory") is None
    assert reader.keys("*") == list(spare)


@pytest.mark.parametrize(("change", "undo"), [
    (["ACL", "SETUSER", "friend", "on", "nopass", "+@all", "~*"], ["ACL", "DELUSER", "friend"]),
    (["ACL", "SETUSER", "default", "on", "nopass"], ["ACL", "SETUSER", "default", "off", "resetpass"]),
    (["ACL", "SETUSER", "{user}", "+config"], ["ACL", "SETUSER", "{user}", "-config"]),
    (["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"], ["CONFIG", "SET", "maxmemory-policy", "noeviction"]),
    (["CONFIG", "SET", "notify-keyspace-events", "KEA"], ["CONFIG", "SET", "notify-keyspace-events", ""]),
], ids=["user", "default user", "rights", "eviction", "events"])
def test_what_we_did_not_make_means_a_new_server(service: Service, change: list[str], undo: list[str]) -> None:
    """However it came there: emptying says so, and who asked makes the service anew."""
    user = service.credentials.user
    with redis_client.Redis.from_url(service.admin["url"]) as admin:
        admin.execute_command(*(word.format(user=user) for word in change))
        try:
            with pytest.raises(EnvironmentFault) as raised:
                service.fresh()
            assert raised.value.code == "service-changed"
        finally:
            admin.execute_command(*(word.format(user=user) for word in undo))
    service.fresh()
