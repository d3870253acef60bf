"""The Docker engine: containers and volumes through Docker's API (Podman speaks it, too). Decides nothing.

Every object carries its whole ``InstanceSpec`` as JSON in a label, from its create request on, so that all of it can be
found and understood without any file of ours. Nothing without our labels is listed, changed or removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator import resources
from orchestrator.compose import read_container
from orchestrator.engines import spec_json
from orchestrator.engines.address import Address, candidates
from orchestrator.engines.base import EngineInfo
from orchestrator.engines.docker_client import INSTALL, ignoring, of_api, open_client
from orchestrator.errors import EnvironmentFault
from orchestrator.model import ContainerSpec, Instance, InstanceSpec, Offer, State
from orchestrator.services.base import Recipe
from orchestrator.state import read_json

PREFIX = "dev.backend-labs."
REMOVE_SECONDS = 20.0
LOG_SIZE = {"max-size": "10m", "max-file": "2"}



class DockerEngine:
    """One Docker engine. Made by ``connect``."""

    def __init__(self, client: Any, address: Address, image_table: Path) -> None:
        self._client = client
        self._api = client.api
        self._address = address
        self._image_table = image_table
        version = client.version()
        self._podman = any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or [])
        self._info = EngineInfo("docker", ("Podman " if self._podman else "") + str(version["Version"]), address.url,
                                f"docker:{address.url}")

    @classmethod
    def connect(cls, image_table: Path, *, environ: Mapping[str, str] = os.environ) -> DockerEngine:
        """The first engine that answers. ``EnvironmentFault("engine-unreachable")`` with one cause and one command.

        ``image_table``: the JSON file that maps upstream image names to locally built ones.
        """
        problems: list[EnvironmentFault] = []
        for address in candidates(environ):
            if address.socket is not None and not address.chosen and not address.socket.exists():
                continue
            try:
                return cls(open_client(address), address, image_table)
            except EnvironmentFault as error:
                problems.append(error)
        if problems:
            raise problems[0]
        raise EnvironmentFault("no Docker engine is on this machine", code="engine-unreachable", hint=INSTALL)

    def info(self) -> EngineInfo:
        """Known since ``connect``."""
        return self._info

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    # --- images ----------------------------------------------------------------------------------------------

    def offer(self, recipe: Recipe) -> Offer:
        """Whether the image is here."""
        upstream, image = self._image(recipe)
        if image is not None:
            return Offer(recipe.name, available=True, expected=image)
        return Offer(recipe.name, available=False, expected=upstream, missing=f"the image {upstream} is not here",
                     remedy=f"labs pull LAB {recipe.name}   (or, without a registry: labs images build {recipe.name})",
                     reason="image-missing")

    def size(self, recipe: Recipe) -> int | None:
        """About what the recipe says; the engine's API does not tell before it pulls."""
        return recipe.download

    def fetch(self, recipe: Recipe, progress: Callable[[str], None]) -> None:
        """Pull the upstream image."""
        upstream, image = self._image(recipe)
        if image is not None:
            return
        repository, _, tag = upstream.partition(":") if "@" not in upstream else (upstream, "", "")
        progress(f"pulling {upstream}")
        with self._faults(f"{upstream} could not be pulled"):
            seen: set[str] = set()
            for line in self._api.pull(repository, tag=tag or None, stream=True, decode=True):
                if "error" in line:
                    raise EnvironmentFault(f"{upstream} could not be pulled: {line['error']}", code="pull-failed",
                                           hint=f"labs images build {recipe.name}")
                status = str(line.get("status", ""))
                if status not in seen:
                    seen.add(status)
                    progress(f"{upstream}: {status}")

    def _image(self, recipe: Recipe) -> tuple[str, str | None]:
        """The upstream name, and the image that will run: upstream's if it is here, else the one built for it here."""
        upstream = self._container(recipe, {}).image
        table = read_json(self._image_table)
        local = table.get(upstream) if isinstance(table, dict) else None
        for name in (upstream, local):
            if isinstance(name, str) and self._has_image(name):
                return upstream, name
        return upstream, None

    def _has_image(self, name: str) -> bool:
        from docker.errors import ImageNotFound, NotFound

        with self._faults(f"the image {name} could not be looked for"):
            try:
                self._api.inspect_image(name)
            except (ImageNotFound, NotFound):
                return False
        return True

    def _container(self, recipe: Recipe, variables: Mapping[str, str]) -> ContainerSpec:
        chosen = {name: value for name, value in os.environ.items() if name.startswith("LABS_IMAGE_") and value}
        return read_container(resources.compose_folder() / recipe.compose, {**chosen, **variables})

    # --- life ------------------------------------------------------------------------------------------------

    def create(self, spec: InstanceSpec, recipe: Recipe) -> None:
        """Its data volume first, then the container; both with all labels in the create request."""
        upstream, image = self._image(recipe)
        if image is None:
            raise EnvironmentFault(f"the image {upstream} is not here", code="image-missing",
                                   hint=f"labs pull {spec.lab} {recipe.name}")
        container = self._container(recipe, recipe.variables(spec))
        labels = _labels(spec)
        with self._faults(f"{recipe.title} could not be made"):
            if spec.keep_data:
                self._make_volume(data_volume(spec.name), labels)
            self._api.create_container_from_config(
                self._config(container, image, spec, labels), name=spec.name)

    def _config(self, container: ContainerSpec, image: str, spec: InstanceSpec, labels: dict[str, str]) -> Any:
        """The create request's body."""
        from docker.types import LogConfig, Mount, Ulimit

        port = f"{container.container_port}/tcp"
        host: dict[str, Any] = {
            "port_bindings": {port: ("127.0.0.1", spec.port)},
            "mem_limit": container.memory,
            "nano_cpus": int(container.cpus * 1e9),
            "pids_limit": container.pids,
            "shm_size": container.shm_size,
            "ulimits": [Ulimit(name=name, soft=limit, hard=limit) for name, limit in container.ulimits.items()],
        }
        if spec.keep_data:
            host["mounts"] = [Mount(container.data_path, data_volume(spec.name), type="volume")]
        if not self._podman:
            host["log_config"] = LogConfig(type=LogConfig.types.JSON, config=LOG_SIZE)
        return self._api.create_container_config(
            image=image,
            command=list(container.command) if container.command else None,
            entrypoint=list(container.entrypoint) if container.entrypoint else None,
            environment=dict(container.environment),
            ports=[(container.container_port, "tcp")],
            labels=labels,
            stop_signal=container.stop_signal,
            host_config=self._api.create_host_config(**host),
        ) | {"StopTimeout": round(container.stop_grace)}

    def _make_volume(self, name: str, labels: dict[str, str]) -> None:
        """A volume of ours; one that is there already is kept with its data. A foreign one of that name is refused."""
        from docker.errors import NotFound

        try:
            found = self._api.inspect_volume(name)
        except NotFound:
            self._api.create_volume(name=name, labels=labels)
            return
        if PREFIX + "user" not in (found.get("Labels") or {}):
            raise EnvironmentFault(f"there is a volume {name} that labs did not make", code="name-taken",
                                   hint=f"docker volume inspect {name}")

    def start(self, name: str) -> None:
        """The container runs when this returns; whether the service answers is not the engine's to know."""
        with self._faults(f"{name} could not be started"):
            self._api.start(name)

    def stop(self, name: str) -> None:
        """By the image's stop signal; the engine sends SIGKILL after the grace."""
        self.unpause(name)
        with self._faults(f"{name} could not be stopped"), ignoring(404):
            self._api.stop(name)

    def kill(self, name: str) -> None:
        """SIGKILL to the container's first process: the kernel ends the rest."""
        self.unpause(name)
        with self._faults(f"{name} could not be killed"), ignoring(404, 409):
            self._api.kill(name, "SIGKILL")
        self._until(lambda: not self._running(name), f"{name} did not end")

    def pause(self, name: str) -> None:
        """By the kernel's freezer."""
        with self._faults(f"{name} could not be paused"), ignoring(409):
            self._api.pause(name)

    def unpause(self, name: str) -> None:
        """Not paused: nothing happens."""
        with self._faults(f"{name} could not be resumed"), ignoring(404, 409, 500):
            if (self._inspect(name) or {}).get("State", {}).get("Paused"):
                self._api.unpause(name)

    def remove(self, name: str, *, data: bool) -> None:
        """The container (anonymous volumes go with it), then its data volume; returns when they are gone."""
        found = self._inspect(name)
        if found is not None and found["Config"]["Labels"].get(PREFIX + "name") == name:
            with self._faults(f"{name} could not be removed"), ignoring(404, 409):
                self._api.remove_container(found["Id"], v=True, force=True)
            self._until(lambda: self._inspect(found["Id"]) is None, f"{name} is still there")
        if data:
            self._remove_volume(data_volume(name), name)

    def _remove_volume(self, volume: str, name: str) -> None:
        with self._faults(f"{volume} could not be removed"), ignoring(404):
            if (self._api.inspect_volume(volume).get("Labels") or {}).get(PREFIX + "name") == name:
                self._api.remove_volume(volume)

    # --- looking ---------------------------------------------------------------------------------------------

    def inspect(self, name: str) -> Instance | None:
        """The instance now; one of which only the data volume is left is ``MISSING``."""
        found = self._inspect(name)
        if found is not None:
            return _instance(found)
        with self._faults(f"{name} could not be looked at"), ignoring(404):
            spec = _spec(self._api.inspect_volume(data_volume(name)).get("Labels") or {})
            return None if spec is None else Instance(spec, State.MISSING)
        return None

    def list(self, *, user: str, installation: str, environment: str | None = None,
             lease: str | None = None) -> Sequence[Instance]:
        """By label filters; containers first, then volumes without a container."""
        wanted = {"user": user, "installation": installation, "environment": environment, "lease": lease}
        filters = {"label": [f"{PREFIX}{key}={value}" for key, value in wanted.items() if value is not None]}
        found: dict[str, Instance] = {}
        with self._faults("the services could not be listed"):
            for container in self._api.containers(all=True, filters=filters):
                state = self._inspect(container["Id"])
                instance = None if state is None else _instance(state)
                if instance is not None:
                    found[instance.spec.name] = instance
            for volume in self._api.volumes(filters=filters).get("Volumes") or []:
                spec = _spec(volume.get("Labels") or {})
                # A container with another lease may sit on this volume: then the volume is not an instance of its own.
                if spec is not None and spec.name not in found and self._inspect(spec.name) is None:
                    found[spec.name] = Instance(spec, State.MISSING)
        return list(found.values())

    def _inspect(self, name: str) -> Any:
        from docker.errors import NotFound

        with self._faults(f"{name} could not be looked at"):
            try:
                return self._api.inspect_container(name)
            except NotFound:
                return None

    def _running(self, name: str) -> bool:
        return bool((self._inspect(name) or {}).get("State", {}).get("Running"))

    def logs(self, name: str, *, tail: int | None = None) -> str:
        """Both streams as they came."""
        with self._faults(f"the log of {name} could not be read"), ignoring(404):
            data: bytes = self._api.logs(name, stdout=True, stderr=True, tail="all" if tail is None else tail)
            return data.decode("utf-8", errors="replace")
        return ""

    def follow(self, name: str) -> Sequence[str] | None:
        """Docker's own client, if there is one."""
        client = shutil.which("docker")
        return None if client is None else (client, "-H", self._address.url, "logs", "--follow", name)

    # --- kept environments -----------------------------------------------------------------------------------

    def keep(self, environment: str, *, user: str, installation: str) -> None:
        """An empty labelled volume: labels of what is there already cannot be changed."""
        labels = {f"{PREFIX}kept": environment, f"{PREFIX}user": user, f"{PREFIX}installation": installation}
        with self._faults(f"{environment} could not be marked as kept"):
            self._make_volume(kept_volume(environment), labels)

    def unkeep(self, environment: str, *, user: str, installation: str) -> None:
        """Remove the mark, if it is this owner's."""
        if environment not in self.kept(user=user, installation=installation):
            return
        with self._faults(f"the mark of {environment} could not be removed"), ignoring(404):
            self._api.remove_volume(kept_volume(environment))

    def kept(self, *, user: str, installation: str) -> frozenset[str]:
        """The marks there are."""
        filters = {"label": [f"{PREFIX}kept", f"{PREFIX}user={user}", f"{PREFIX}installation={installation}"]}
        with self._faults("the kept environments could not be listed"):
            volumes = self._api.volumes(filters=filters).get("Volumes") or []
        return frozenset(volume["Labels"][PREFIX + "kept"] for volume in volumes)

    # --- parts -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        """Docker's and the connection's errors as ours, by their cause."""
        from docker.errors import APIError, DockerException, ImageNotFound
        from requests.exceptions import RequestException

        try:
            yield
        except ImageNotFound as error:
            raise EnvironmentFault(f"{what}: {error.explanation}", code="image-missing", hint="labs doctor") from error
        except APIError as error:
            raise of_api(what, error) from error
        except (RequestException, DockerException, OSError) as error:
            raise EnvironmentFault(f"{what}: the Docker engine at {self._address.url} does not answer ({error})",
                                   code="engine-unreachable", hint="labs doctor") from error

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + REMOVE_SECONDS
        while not condition():
            if time.monotonic() > end:
                raise EnvironmentFault(f"{what} after {REMOVE_SECONDS:.0f} s", code="engine-failed", hint="labs doctor")
            time.sleep(0.01)


def data_volume(name: str) -> str:
    """The named volume of an instance's data."""
    return f"{name}-data"


def kept_volume(environment: str) -> str:
    """The volume that marks an environment as kept."""
    return f"labs-{environment}-kept"


def _labels(spec: InstanceSpec) -> dict[str, str]:
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


def _spec(labels: Mapping[str, str]) -> InstanceSpec | None:
    try:
        return spec_json.decode(json.loads(labels[PREFIX + "spec"]))
    except (KeyError, ValueError):
        return None


def _instance(found: Mapping[str, Any]) -> Instance | None:
    """What ``inspect`` said of a container, in our words; ``None`` if it is not ours."""
    spec = _spec(found["Config"].get("Labels") or {})
    if spec is None:
        return None
    state = found["State"]
    running = bool(state.get("Running"))
    now = State.PAUSED if state.get("Paused") else State.RUNNING if running else State.EXITED
    return Instance(spec, now, None if running else state.get("ExitCode"), bool(state.get("OOMKilled")),
                    f"{found['Id'][:12]}:{state.get('StartedAt', '')}")
