"""Docker's objects in our words: names, labels, create requests, states, errors. Pure: nothing here calls an engine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from orchestrator.engines import spec_json
from orchestrator.engines.base import PortBusy
from orchestrator.errors import EnvironmentFault
from orchestrator.model import ContainerSpec, Instance, InstanceSpec, State

PREFIX = "dev.backend-labs."
LOG_SIZE = {"max-size": "10m", "max-file": "2"}
NEVER = "0001-01-01T00:00:00Z"
"""When a container was started that never was."""


def data_volume(name: str, volume: str = "") -> str:
    """The named volume of an instance's data; ``volume`` is the one of its Compose file, empty for the main one."""
    return f"{name}-data-{volume}" if volume else f"{name}-data"


def kept_volume(environment: str) -> str:
    """The volume that marks an environment as kept."""
    return f"labs-{environment}-kept"


def labels_of(spec: InstanceSpec) -> dict[str, str]:
    """What goes on the container and its volume: the whole spec, and the parts that are searched for."""
    owner = spec.owner
    return {
        PREFIX + "user": owner.user,
        PREFIX + "installation": owner.installation,
        PREFIX + "environment": owner.environment,
        PREFIX + "lease": owner.lease,
        PREFIX + "service": spec.service,
        PREFIX + "name": spec.name,
        PREFIX + "spec": json.dumps(spec_json.encode(spec)),
    }


def kept_labels(environment: str, user: str, installation: str) -> dict[str, str]:
    """What goes on the volume that marks an environment as kept."""
    return {PREFIX + "kept": environment, PREFIX + "user": user, PREFIX + "installation": installation}


def same_owner(labels: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Whether a found object is the same user's, installation's and name's (or mark's) as the one wanted."""
    keys = [PREFIX + key for key in ("user", "installation", "name", "kept")]
    return all((labels or {}).get(key) == wanted.get(key) for key in keys)


def spec_of(labels: Mapping[str, str] | None) -> InstanceSpec | None:
    """The spec that an object carries; ``None`` if it is not ours."""
    try:
        return spec_json.decode(json.loads((labels or {})[PREFIX + "spec"]))
    except (KeyError, ValueError):
        return None


def instance_of(found: Mapping[str, Any]) -> Instance | None:
    """What the engine says of a container, in our words; ``None`` if it is not ours."""
    spec = spec_of(found["Config"].get("Labels"))
    if spec is None:
        return None
    state = found["State"]
    started = str(state.get("StartedAt") or NEVER)
    if started.startswith(NEVER[:10]):
        return Instance(spec, State.EXITED)
    running = bool(state.get("Running"))
    return Instance(
        spec,
        State.PAUSED if state.get("Paused") else State.RUNNING if running else State.EXITED,
        exit_code=None if running else state.get("ExitCode"),
        oom=bool(state.get("OOMKilled")),
        incarnation=f"{found['Id'][:12]}:{started}",
    )


def time_of(text: str) -> float | None:
    """The engine's word for a moment (``2026-01-31T12:00:00.123456789Z``), in seconds since 1970; ``None``: never."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    if match is None or text.startswith(NEVER[:10]):
        return None
    whole = datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00"))
    return whole.timestamp() + float(match[2] or 0)


def create_request(api: Any, container: ContainerSpec, image: str, spec: InstanceSpec, *, podman: bool,
                   network: str | None = None) -> Any:
    """The body of the create request, written with the help of docker-py's ``api``.

    ``network``: the id of the one that the nodes of its service have in common. Raises ``compose-unsupported`` where
    the Compose file publishes other endpoints than the instance has ports for.
    """
    from docker.types import LogConfig, Mount, Ulimit

    if container.ports.keys() != spec.ports.keys():
        names = [", ".join(sorted(name or "the main one" for name in ports)) for ports in (container.ports, spec.ports)]
        raise EnvironmentFault(f"the Compose file of {spec.service} publishes {names[0]}; the service has {names[1]}",
                               code="compose-unsupported", hint="labs doctor")
    host: dict[str, Any] = {
        "port_bindings": {f"{inside}/tcp": ("127.0.0.1", spec.ports[name]) for name, inside in container.ports.items()},
        "mem_limit": container.memory,
        "nano_cpus": int(container.cpus * 1e9),
        "pids_limit": container.pids,
        "shm_size": container.shm_size,
        "ulimits": [Ulimit(name=name, soft=limit, hard=limit) for name, limit in container.ulimits.items()],
    }
    if spec.keep_data:
        host["mounts"] = [Mount(path, data_volume(spec.name, volume), type="volume")
                          for volume, path in container.volumes.items()]
    elif spec.own:
        # Without a name, gone with the container: an image that is not made for this file may lack the folder.
        host["mounts"] = [Mount(path, None, type="volume") for path in container.volumes.values()]
    if not podman:
        host["log_config"] = LogConfig(type=LogConfig.types.JSON, config=LOG_SIZE)
    node: dict[str, Any] = {}
    if network is not None:
        own = spec.node_hosts[spec.node - 1]
        host["network_mode"] = network
        joined = api.create_networking_config({network: api.create_endpoint_config(aliases=[own])})
        node = {"hostname": own, "networking_config": joined}
    return api.create_container_config(
        image=image,
        command=list(container.command) if container.command else None,
        entrypoint=list(container.entrypoint) if container.entrypoint else None,
        environment=dict(container.environment),
        ports=[(inside, "tcp") for inside in container.ports.values()],
        labels=labels_of(spec),
        stop_signal=container.stop_signal,
        host_config=api.create_host_config(**host),
        **node,
    ) | {"StopTimeout": round(container.stop_grace)}


def no_cpu_limit(error: Any) -> bool:
    """Whether the limit on CPU time was refused: the kernel knows none, or the machine has fewer CPUs than that."""
    low = str(error.explanation or error).lower()
    return "nanocpus can not be set" in low or "range of cpus is from" in low


def fault_of(what: str, error: Any) -> EnvironmentFault:
    """An answer that says no (docker-py's ``APIError``) as one of ours, by its cause."""
    text = str(error.explanation or error)
    low = text.lower()
    if "port is already allocated" in low or "address already in use" in low or "ports are not available" in low:
        number = int(port[1]) if (port := re.search(r"(?:\d\.\d+|\]):(\d{1,5})(?!\d)", text)) else 0
        subject = f"port {number} on 127.0.0.1" if number else "its port"
        return PortBusy(f"{what}: {subject} is taken by another program", port=number,
                        hint=f"see which: lsof -i :{number}" if number else "labs status")
    if "no space left on device" in low or "disk quota exceeded" in low:
        return EnvironmentFault(f"{what}: the disk is full", code="disk-full", hint="labs clean")
    if error.status_code == 404 and ("no such image" in low or "image not known" in low):
        return EnvironmentFault(f"{what}: {text}", code="image-missing", hint="labs doctor")
    if error.status_code == 409 and "already in use" in low:
        return EnvironmentFault(f"{what}: there is already a container of that name", code="exists", hint="labs status")
    return EnvironmentFault(f"{what}: {text}", code="engine-failed", hint="labs doctor")
