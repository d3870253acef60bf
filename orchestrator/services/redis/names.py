"""Names in checks that use Redis: keys and hash fields, given to the fixture, to its client or to a pipeline of it."""

from __future__ import annotations

from orchestrator.services.parts import Names, Takes

_KEY = (Takes("key", 0),)
_READER = ("get", "pttl", "type", "keys", "zset", "plant", "delete")
_OF_A_KEY = """
    append decr decrby expire expireat get getdel getex getrange getset hgetall hkeys hlen hvals incr incrby incrbyfloat
    lindex linsert llen lpop lpush lrange lrem lset ltrim persist pexpire pexpireat psetex pttl rpop rpush sadd scard
    set setex setnx setrange sismember smembers spop srem strlen ttl type xadd xlen xrange xrevrange zadd zcard zcount
    zincrby zrange zrangebyscore zrank zrem zrevrange zrevrank zscore
"""
_OF_A_FIELD = ("hexists", "hget", "hincrby", "hincrbyfloat", "hsetnx")
_CLIENT = {
    **dict.fromkeys(_OF_A_KEY.split(), _KEY),
    **dict.fromkeys(_OF_A_FIELD, (*_KEY, Takes("field", 1))),
    **dict.fromkeys(("delete", "exists", "touch", "unlink", "mget"), (Takes("key", 0, rest=True),)),
    "hdel": (*_KEY, Takes("field", 1, rest=True)),
    "hmget": (*_KEY, Takes("field", 1, rest=True)),
    "hset": (*_KEY, Takes("field", 1), Takes("field", 3, "mapping")),
    "mset": _KEY,
    "scan_iter": (Takes("key", 0, "match"),),
    "xread": (Takes("key", 0, "streams"),),
}

NAMES = Names(
    methods={
        **dict.fromkeys(_READER, _KEY),
        **{f"client.{method}": takes for method, takes in _CLIENT.items()},
        **{f"client.pipeline().{method}": takes for method, takes in _CLIENT.items()},
    },
    reasons={"schema-wrong-type": "a key has another type",
             "schema-script-endless": "a script of the server does not end"},
)
