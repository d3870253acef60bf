"""The Docker engine: containers and volumes through Docker's API (Podman speaks it, too). Decides nothing.

Every object carries its whole ``InstanceSpec`` as JSON in a label, from its create request on, so that all of it can be
found and understood without any file of ours. Nothing without our labels is listed, changed or removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.engines.base import EngineInfo
from orchestrator.engines.docker.connection import Connection, connect
from orchestrator.engines.docker.local import stand_ins, ways_to_get
from orchestrator.engines.docker.networks import Networks
from orchestrator.engines.docker.objects import (
    PREFIX,
    create_request,
    data_volume,
    fault_of,
    instance_of,
    kept_labels,
    kept_volume,
    labels_of,
    no_cpu_limit,
    same_owner,
    time_of,
)
from orchestrator.engines.docker.volumes import Volumes
from orchestrator.engines.docker.waiting import GONE_SECONDS, ignoring, until
from orchestrator.errors import EnvironmentFault
from orchestrator.model import ContainerSpec, Instance, InstanceSpec, Offer, State
from orchestrator.services.base import Recipe
from orchestrator.services.compose import image_choices
from orchestrator.services.places import container_of, image_folder


class DockerEngine:
    """One Docker engine. Made by ``connect``."""

    def __init__(self, connection: Connection, image_table: Path) -> None:
        self._connection = connection
        self._look = connection.look
        self._change = connection.change
        self._volumes = Volumes(connection)
        self._networks = Networks(connection)
        self._image_table = image_table
        url = connection.address.url
        self._info = EngineInfo("docker", connection.version, url, f"docker:{url}")

    @classmethod
    def connect(cls, image_table: Path, *, environ: Mapping[str, str] = os.environ) -> DockerEngine:
        """The first engine that answers. ``EnvironmentFault("engine-unreachable")`` with one cause and one command.

        ``image_table``: the JSON file that maps upstream image names to locally built ones.
        """
        return cls(connect(environ), image_table)

    def info(self) -> EngineInfo:
        """Known since ``connect``."""
        return self._info

    def close(self) -> None:
        """Let go of connections."""
        self._connection.close()

    # --- images ----------------------------------------------------------------------------------------------

    def offer(self, recipe: Recipe) -> Offer:
        """Whether the image is here."""
        if not recipe.compose:
            return Offer(recipe.name, available=False, missing=f"{recipe.title} does not run in a container",
                         remedy="use --engine embedded", reason="unsupported")
        upstream, image = self._image(recipe)
        if image is not None:
            return Offer(recipe.name, available=True, expected=image)
        return Offer(recipe.name, available=False, expected=upstream, missing=f"the image {upstream} is not here",
                     remedy=ways_to_get(recipe), reason="image-missing")

    def size(self, recipe: Recipe) -> int | None:
        """About what the recipe says; the engine's API does not tell before it pulls."""
        return recipe.download

    def fetch(self, recipe: Recipe, progress: Callable[[str], None]) -> None:
        """Pull the upstream image."""
        upstream, image = self._image(recipe)
        if image is not None:
            return
        progress(f"pulling {upstream}")
        try:
            with self._faults(f"{upstream} could not be pulled"):
                self._pull(upstream, progress)
        except EnvironmentFault as error:
            if error.code not in ("engine-failed", "image-missing"):
                raise
            build = f"labs images build {recipe.name}" if image_folder(recipe) else None
            raise EnvironmentFault(error.message, code="pull-failed", hint=build or "labs doctor") from error

    def _pull(self, image: str, progress: Callable[[str], None]) -> None:
        from docker.utils import parse_repository_tag

        repository, tag = parse_repository_tag(image)
        seen: set[str] = set()
        for line in self._pull_lines(repository, tag, progress):
            if "error" in line:
                raise EnvironmentFault(f"{image} could not be pulled: {line['error']}", code="engine-failed")
            status = str(line.get("status", ""))
            if status not in seen:
                seen.add(status)
                progress(f"{image}: {status}")

    def _pull_lines(self, repository: str, tag: str | None, progress: Callable[[str], None]) -> Any:
        """What the engine says of a pull. Public images need no login: where its keeper is missing none is sent."""
        from docker.credentials import StoreError
        from docker.errors import DockerException

        try:
            with warnings.catch_warnings(action="ignore"):  # the library's, of the same program
                return self._change.pull(repository, tag=tag, stream=True, decode=True)
        except DockerException as error:
            if not isinstance(error.__cause__, StoreError):
                raise
            progress(f"pulling without a login: {error.__cause__}")
        return self._change.pull(repository, tag=tag, stream=True, decode=True, auth_config={})

    def _image(self, recipe: Recipe) -> tuple[str, str | None]:
        """The upstream name, and the image that will run: upstream's if it is here, else the one built for it here."""
        if not recipe.compose:
            raise EnvironmentFault(f"{recipe.title} does not run in a container", code="unsupported",
                                   hint="use --engine embedded")
        upstream = self._container(recipe, {}).image
        if self._has_image(upstream):
            return upstream, upstream
        return upstream, next(filter(self._has_image, stand_ins(recipe, upstream, self._image_table)), None)

    def _has_image(self, name: str) -> bool:
        from docker.errors import ImageNotFound, NotFound

        with self._faults(f"the image {name} could not be looked for"):
            try:
                self._look.inspect_image(name)
            except (ImageNotFound, NotFound):
                return False
        return True

    def _container(self, recipe: Recipe, variables: Mapping[str, str]) -> ContainerSpec:
        return container_of(recipe, {**image_choices(os.environ), **variables})

    # --- life ------------------------------------------------------------------------------------------------

    def file(self, name: str, recipe: Recipe) -> str:  # noqa: ARG002 - the protocol's shape
        """Containers are no files."""
        return ""

    def create(self, spec: InstanceSpec, recipe: Recipe) -> None:
        """Its volumes and network, then the container, each with all labels in the create request. Never pulls."""
        upstream, image = self._image(recipe)
        if image is None:
            raise EnvironmentFault(f"the image {upstream} is not here", code="image-missing",
                                   hint=f"labs pull {spec.lab} {recipe.name}")
        container = self._container(recipe, recipe.variables(spec))
        with self._faults(f"{recipe.title} could not be made"):
            for volume in container.volumes if spec.keep_data else ():
                self._volumes.make(data_volume(spec.name, volume), labels_of(spec))
            with self._networks.joined(spec) as network:
                request = create_request(self._change, container, image, spec, podman=self._connection.podman,
                                         network=network)
                self._create_container(spec.name, request)

    def _create_container(self, name: str, request: Any) -> None:
        """A name can be taken for a moment after its container has gone from sight: then once more.

        Where the engine can hold no container to its CPU time, this one goes without; ``labs doctor`` says so.
        """
        from docker.errors import APIError

        end = time.monotonic() + GONE_SECONDS
        while True:
            try:
                self._change.create_container_from_config(request, name=name)
                return
            except APIError as error:
                if no_cpu_limit(error) and request["HostConfig"].pop("NanoCpus", 0):
                    continue
                if fault_of("", error).code != "exists" or self._inspect(name) is not None or time.monotonic() > end:
                    raise
            time.sleep(0.02)

    def start(self, name: str) -> None:
        """The container runs when this returns; whether the service answers is not the engine's to know."""
        with self._faults(f"{name} could not be started"):
            self._change.start(self._required(name))

    def stop(self, name: str) -> None:
        """By its stop signal; the engine sends SIGKILL after the grace."""
        self._end(name, "could not be stopped", self._change.stop)

    def kill(self, name: str) -> None:
        """SIGKILL to the container's first process: the kernel ends the rest."""
        self._end(name, "could not be killed", self._change.kill)

    def _end(self, name: str, trouble: str, call: Callable[[str], None]) -> None:
        """Nothing of it runs when this returns. A frozen process takes no signal, so it is thawed first."""
        self.unpause(name)
        found = self._own(name)
        if found is None:
            return
        with self._faults(f"{name} {trouble}"), ignoring(404, 409):
            call(found["Id"])
        until(lambda: not _running(self._inspect(found["Id"])), f"{name} did not end")

    def pause(self, name: str) -> None:
        """By the kernel's freezer. What does not run cannot be paused: ``engine-failed``."""
        with self._faults(f"{name} could not be paused"):
            identity = self._required(name)
            with ignoring(409, unless=lambda: not self._paused(name)):
                self._change.pause(identity)

    def unpause(self, name: str) -> None:
        """Not paused: nothing happens."""
        found = self._own(name)
        if found is None or not found["State"].get("Paused"):
            return
        with self._faults(f"{name} could not be resumed"):
            # Somebody else may have done it, or ended it: then the engine's refusal does not matter.
            with ignoring(404, 409, 500, unless=lambda: self._paused(name)):
                self._change.unpause(found["Id"])

    def remove(self, name: str, *, data: bool) -> None:
        """The container (anonymous volumes go with it), its volumes, its network; returns when they are gone."""
        spec = self._spec(name)
        self._remove_container(name)
        if data:
            with self._faults(f"the data of {name} could not be removed"):
                # In use: perhaps by a container that a killed command asked for, and that has come only now.
                self._volumes.remove_data(name, in_use=lambda: self._remove_container(name))
        if spec is not None:
            with self._faults(f"the network of {name} could not be removed"):
                self._networks.left(spec)

    def _remove_container(self, name: str) -> None:
        found = self._own(name)
        if found is not None:
            with self._faults(f"{name} could not be removed"), ignoring(404, 409):
                self._change.remove_container(found["Id"], v=True, force=True)
            until(lambda: self._inspect(found["Id"]) is None, f"{name} is still there")

    # --- looking ---------------------------------------------------------------------------------------------

    def inspect(self, name: str) -> Instance | None:
        """The instance now; one of which only volumes or its network are left is ``MISSING``."""
        found = self._own(name)
        if found is not None:
            return instance_of(found)
        spec = self._spec_left(name)
        return None if spec is None else Instance(spec, State.MISSING)

    def _spec(self, name: str) -> InstanceSpec | None:
        """What there is of this name says of itself, be it whole or not."""
        found = self._own(name)
        instance = None if found is None else instance_of(found)
        return self._spec_left(name) if instance is None else instance.spec

    def _spec_left(self, name: str) -> InstanceSpec | None:
        """The same, of which there is no container."""
        with self._faults(f"{name} could not be looked at"):
            return self._volumes.spec(name) or next(iter(self._networks.orphans({"name": name})), None)

    def list(self, *, user: str, installation: str, environment: str | None = None,
             lease: str | None = None) -> Sequence[Instance]:
        """By label filters, looked at once more; containers first, then what is there without one."""
        asked = {"user": user, "installation": installation, "environment": environment, "lease": lease}
        wanted = {key: value for key, value in asked.items() if value is not None}
        filters = {"label": [f"{PREFIX}{key}={value}" for key, value in wanted.items()]}
        found: dict[str, Instance] = {}
        with self._faults("the services could not be listed"):
            for container in self._look.containers(all=True, filters=filters):
                state = self._inspect(container["Id"])
                instance = None if state is None else instance_of(state)
                if instance is not None:
                    found[instance.spec.name] = instance
            for spec in (*self._volumes.specs(wanted), *self._networks.orphans(wanted)):
                # A container with another lease may sit on this volume: then the volume is not an instance of its own.
                if spec.name not in found and self._own(spec.name) is None:
                    found[spec.name] = Instance(spec, State.MISSING)
        return [instance for instance in found.values()
                if all(getattr(instance.spec.owner, key) == value for key, value in wanted.items())]

    def _inspect(self, name: str) -> Any:
        """What the engine says of a container, anybody's; ``None`` if there is none."""
        from docker.errors import NotFound

        with self._faults(f"{name} could not be looked at"):
            try:
                return self._look.inspect_container(name)
            except NotFound:
                return None

    def _own(self, name: str) -> Any:
        """The same, of a container that carries our labels and this very name (the API also takes parts of an id)."""
        found = self._inspect(name)
        ours = found is not None and (found["Config"].get("Labels") or {}).get(PREFIX + "name") == name
        return found if ours else None

    def _required(self, name: str) -> str:
        """The id of our container."""
        found = self._own(name)
        if found is None:
            raise EnvironmentFault(f"there is no instance {name}", code="engine-failed", hint="labs status")
        return str(found["Id"])

    def _paused(self, name: str) -> bool:
        return bool((self._own(name) or {}).get("State", {}).get("Paused"))

    def logs(self, name: str, *, tail: int | None = None, since_start: bool = False) -> str:
        """Both streams as they came."""
        found = self._own(name)
        if found is None:
            return ""
        # Its last end, not its start: Docker notes that a moment after the first lines.
        since = time_of(str(found["State"].get("FinishedAt"))) if since_start else None
        with self._faults(f"the log of {name} could not be read"), ignoring(404):
            data: bytes = self._look.logs(found["Id"], stdout=True, stderr=True, tail="all" if tail is None else tail,
                                          since=since)
            return data.decode("utf-8", errors="replace")
        return ""

    def follow(self, name: str) -> Sequence[str] | None:
        """Docker's own client, if there is one."""
        client = shutil.which("docker")
        return None if client is None else (client, "-H", self._info.address, "logs", "--follow", name)

    # --- kept environments -----------------------------------------------------------------------------------

    def keep(self, environment: str, *, user: str, installation: str) -> None:
        """An empty labelled volume: labels of what is there already cannot be changed."""
        with self._faults(f"{environment} could not be marked as kept"):
            self._volumes.make(kept_volume(environment), kept_labels(environment, user, installation))

    def unkeep(self, environment: str, *, user: str, installation: str) -> None:
        """Remove the mark, if it is this owner's."""
        wanted = kept_labels(environment, user, installation)
        with self._faults(f"the mark of {environment} could not be removed"):
            self._volumes.remove(kept_volume(environment), lambda labels: same_owner(labels, wanted))

    def kept(self, *, user: str, installation: str) -> frozenset[str]:
        """The marks there are."""
        with self._faults("the kept environments could not be listed"):
            volumes = self._volumes.labelled({"user": user, "installation": installation}, "kept")
        found = [volume.get("Labels") or {} for volume in volumes]
        marks = [(labels.get(PREFIX + "kept", ""), labels) for labels in found]
        return frozenset(mark for mark, labels in marks if same_owner(labels, kept_labels(mark, user, installation)))

    # --- parts -----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        """Docker's and the connection's errors as ours, by their cause."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            yield
        except APIError as error:
            raise fault_of(what, error) from error
        except (RequestException, DockerException, OSError) as error:
            raise EnvironmentFault(f"{what}: the Docker engine at {self._info.address} does not answer ({error})",
                                   code="engine-unreachable", hint="labs doctor") from error


def _running(found: Any) -> bool:
    return bool(found is not None and found["State"].get("Running"))
