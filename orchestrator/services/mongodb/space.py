"""What is inside a MongoDB of the labs: a replica set, users, the learner's database, and how all become new again.

Three users, and a fourth that nobody made. The *administrator* may do everything. The *learner* has a role of its own
in one database and nothing else. The *checker* is how checks read and plant: with the learner's role, under a login of
its own, so that what it does is neither recorded nor counted among the learner's sessions. The fourth is the server's,
``__system``: it opens a new server, which has no users yet, and data that was made for other passwords.

All functions take a client that ``clients.admin`` logged in.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Endpoint
from orchestrator.services.mongodb.clients import ADMIN_DATABASE, brief
from orchestrator.services.mongodb.settings import REPLICA_SET, learner_login

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.database import Database

ROLE = "labs_learner"
ACTIONS = (
    "find", "insert", "update", "remove", "createCollection", "dropCollection", "createIndex", "dropIndex",
    "listCollections", "listIndexes", "collMod", "collStats", "dbStats", "killCursors", "changeStream", "planCacheRead",
)
"""All that drivers and servers need of their own database, and nothing that hides or bypasses anything.

Not ``convertToCapped``, which breaks transactions; not ``readWrite``, which has no ``collMod``.
"""
PROFILE = "system.profile"
PROFILE_BYTES = 16 * 2**20
"""Some ten thousand operations; the oldest make room."""
PRIMARY_SECONDS = 15.0
HELD_SECONDS = 3.0
"""That a document may be in use by a transaction of the learner's server before it can be removed."""
ELECTIONS = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 500, "heartbeatTimeoutSecs": 1}
"""A restarted server is primary again within a second, instead of ten."""

NOT_INITIATED, NOT_A_MEMBER = 94, 93
_IN_WORK = frozenset({23, 95, 109, NOT_INITIATED, NOT_A_MEMBER, 10107, 11602, 13436})
"""Somebody else initiates it (the image does), or it is just starting: look again."""
_USER_THERE, _TIME_OVER = 51003, 50


def checker_name(credentials: Credentials) -> str:
    """The name of the user that checks use for this learner."""
    return f"{credentials.user}_checker"


def prepare(client: MongoClient[Any], credentials: Credentials) -> None:
    """Make the set, the role and the users that are not there; rights and passwords that differ are set again."""
    ensure_primary(client)
    _ensure_role(client[credentials.database])
    _ensure_users(client, credentials)
    if is_recorded(client) and PROFILE not in _kinds(client[credentials.database]):
        _record_anew(client[credentials.database], credentials)


def fresh(client: MongoClient[Any], credentials: Credentials) -> None:
    """End the learner's transactions and cursors, drop its collections, forget what was recorded.

    One collection after the other: to drop the database takes 100 ms and would switch the recording off.
    """
    ensure_primary(client)
    database = client[credentials.database]
    _ensure_role(database)
    _ensure_users(client, credentials)  # an attempt on a new server begins here
    if found := foreign(client, credentials):
        raise EnvironmentFault(f"MongoDB is not as labs made it: {', '.join(found)}", code="service-changed",
                               hint="labs check")
    users = [{"user": name, "db": credentials.database} for name in (credentials.user, checker_name(credentials))]
    # A transaction outlives its connection by a minute, and holds on to its collections.
    client.admin.command("killAllSessions", users)
    if _has_connections(client, credentials):
        # Connections cannot be ended, but those of a user that was made anew have no rights any more.
        database.command("dropUser", credentials.user)
        _ensure_users(client, credentials)
    for name in sorted(_kinds(database), key=lambda name: name == "system.views"):  # last: time series stand in it
        if not name.startswith("system.") or name == "system.views":
            database.drop_collection(name)
    database.command("profile", 0)
    database.drop_collection(PROFILE)
    if is_recorded(client):
        _record_anew(database, credentials)


def foreign(client: MongoClient[Any], credentials: Credentials) -> list[str]:
    """What is in it that ``prepare`` did not make, in words: users, roles, databases."""
    ours = {(credentials.admin_user, ADMIN_DATABASE)} | {
        (name, credentials.database) for name in (credentials.user, checker_name(credentials))}
    users = client.admin.command("usersInfo", {"forAllDBs": True})["users"]
    roles = [role for name in (credentials.database, ADMIN_DATABASE)
             for role in client[name].command("rolesInfo", 1)["roles"]]
    return [
        *(f"the user {one['user']}" for one in users if (one["user"], one["db"]) not in ours),
        *(f"the role {one['role']}" for one in roles if (one["role"], one["db"]) != (ROLE, credentials.database)),
        *(f"the database {name}" for name in client.list_database_names()
          if name not in (ADMIN_DATABASE, "local", "config", credentials.database)),
    ]


def contents(client: MongoClient[Any], credentials: Credentials) -> frozenset[str]:
    """The collections that have documents."""
    database = client[credentials.database]
    return frozenset(name for name in _collections(database) if database[name].find_one({}, {"_id": 1}) is not None)


def clear(client: MongoClient[Any], credentials: Credentials, spare: Collection[str]) -> None:
    """Remove the documents of all collections but the spared ones, under sessions that go on.

    ``EnvironmentFault("table-held")`` where a transaction that does not end holds on to a document.
    """
    from pymongo import errors

    database = client[credentials.database]
    for name in _collections(database):
        if name in spare:
            continue
        try:
            database.command("delete", name, deletes=[{"q": {}, "limit": 0}], maxTimeMS=round(HELD_SECONDS * 1000))
        except errors.OperationFailure as error:
            if error.code != _TIME_OVER:
                raise
            raise EnvironmentFault(f"MongoDB's collection {name} could not be emptied: your server has a transaction "
                                   "open that uses it", code="table-held") from error


def end_transactions(client: MongoClient[Any], credentials: Credentials) -> None:
    """Abort what the learner has open. Its other sessions go on: their cursors are somebody's who lives."""
    from orchestrator.services.mongodb.evidence.moments import under_way

    mine = under_way(credentials.user, credentials.database)
    stages: list[dict[str, Any]] = [{"$currentOp": {"allUsers": True, "idleSessions": True}}, {"$match": mine}]
    found = [{"lsid": {"id": one["lsid"]["id"], "uid": mine["lsid.uid"]}} for one in client.admin.aggregate(stages)]
    if found:
        client.admin.command("killAllSessionsByPattern", found)


def is_recorded(client: MongoClient[Any]) -> bool:
    """Whether this server was started to record the learner's operations, as judge instances are."""
    options = client.admin.command("getCmdLineOpts")["parsed"]
    return str(options.get("operationProfiling", {}).get("mode", "off")) != "off"


# --- the replica set -------------------------------------------------------------------------------------------------


def ensure_primary(client: MongoClient[Any]) -> None:
    """Initiate the set of one member, or give the member its present address; return when it is primary."""
    from pymongo import errors

    end = time.monotonic() + PRIMARY_SECONDS
    why = ""
    while not client.admin.command("hello").get("isWritablePrimary"):
        if time.monotonic() > end:
            raise EnvironmentFault(f"MongoDB did not become primary within {PRIMARY_SECONDS:.0f} s: {why}",
                                   code="not-ready", hint="labs logs mongodb")
        try:
            match set_state(client):
                case "new":
                    client.admin.command("replSetInitiate", set_of(_own_address(client)))
                case "moved":
                    config = client.admin.command("replSetGetConfig")["config"]
                    config["members"][0]["host"] = _own_address(client)
                    config["version"] += 1
                    client.admin.command("replSetReconfig", config, force=True)
                case "SECONDARY":
                    client.admin.command("replSetFreeze", 0)  # it was told to step down: that is over
        except errors.OperationFailure as error:
            if error.code not in _IN_WORK:
                raise
            why = brief(error)
        time.sleep(0.003)


def set_state(client: MongoClient[Any]) -> str:
    """``PRIMARY``, ``SECONDARY``, ...; ``new`` without a set; ``moved`` if the set knows it by another address."""
    from pymongo import errors

    try:
        status = client.admin.command("replSetGetStatus")
    except errors.OperationFailure as error:
        if error.code in (NOT_INITIATED, NOT_A_MEMBER):
            return "new" if error.code == NOT_INITIATED else "moved"
        raise
    return next((str(member["stateStr"]) for member in status["members"] if member.get("self")), "UNKNOWN")


def set_of(host: str) -> dict[str, Any]:
    """The configuration of a set of one member at this address."""
    return {"_id": REPLICA_SET, "members": [{"_id": 0, "host": host}], "settings": ELECTIONS}


def _own_address(client: MongoClient[Any]) -> str:
    """Where the set says that it is: where the server listens. In a container of ours that is the link's number."""
    options = client.admin.command("getCmdLineOpts")["parsed"]
    return str(Endpoint(options.get("net", {}).get("port", 27017)))


# --- users -----------------------------------------------------------------------------------------------------------


def _ensure_role(database: Database[Any]) -> None:
    found = database.command("rolesInfo", ROLE, showPrivileges=True)["roles"]
    wanted = [{"resource": {"db": database.name, "collection": ""}, "actions": list(ACTIONS)}]
    there = [{**one, "actions": set(one["actions"])} for role in found for one in role["privileges"]]
    if not found:
        database.command("createRole", ROLE, privileges=wanted, roles=[])
    elif there != [{**wanted[0], "actions": set(ACTIONS)}] or found[0]["roles"]:
        database.command("updateRole", ROLE, privileges=wanted, roles=[])


def _ensure_users(client: MongoClient[Any], credentials: Credentials) -> None:
    """A mark beside each user tells its password without being it, because to set one takes 10 ms each time."""
    learner = {"role": ROLE, "db": credentials.database}
    wanted = {
        (credentials.admin_user, ADMIN_DATABASE): (credentials.admin_password, {"role": "root", "db": ADMIN_DATABASE}),
        (credentials.user, credentials.database): (credentials.password, learner),
        (checker_name(credentials), credentials.database): (credentials.admin_password, learner),
    }
    asked = [{"user": user, "db": database} for user, database in wanted]
    found = {(one["user"], one["db"]): one for one in client.admin.command("usersInfo", asked)["users"]}
    for (user, database), (secret, role) in wanted.items():
        mark = {"labs": hashlib.sha256(secret.encode()).hexdigest()}
        rest = {"roles": [role], "customData": mark, "mechanisms": ["SCRAM-SHA-256"]}
        known = found.get((user, database))
        if known is None or any(known.get(name) != value for name, value in rest.items()):
            _set_user(client[database], user, known is not None, pwd=secret, **rest)


def _set_user(database: Database[Any], user: str, known: bool, **values: Any) -> None:
    from pymongo import errors

    try:
        database.command("updateUser" if known else "createUser", user, **values)
    except errors.OperationFailure as error:
        if error.code != _USER_THERE:  # the image makes the administrator at the same moment
            raise
        database.command("updateUser", user, **values)


def _has_connections(client: MongoClient[Any], credentials: Credentials) -> bool:
    learner = {"user": credentials.user, "db": credentials.database}
    stages: list[dict[str, Any]] = [{"$currentOp": {"allUsers": True, "idleConnections": True}},
                                    {"$match": {"effectiveUsers": learner}}, {"$limit": 1}]
    return bool(list(client.admin.aggregate(stages)))


# --- collections -----------------------------------------------------------------------------------------------------


def _kinds(database: Database[Any]) -> Mapping[str, str]:
    """``collection``, ``view`` or ``timeseries`` by name."""
    return {one["name"]: one["type"] for one in database.list_collections()}


def _collections(database: Database[Any]) -> list[str]:
    return sorted(name for name, kind in _kinds(database).items() if kind != "view" and not name.startswith("system."))


def _record_anew(database: Database[Any], credentials: Credentials) -> None:
    """An empty record of operations, larger than what MongoDB would make (1 MB), for those of the learner alone."""
    if PROFILE not in _kinds(database):
        database.create_collection(PROFILE, capped=True, size=PROFILE_BYTES)
    database.command("profile", 1, filter={"user": learner_login(credentials)})
