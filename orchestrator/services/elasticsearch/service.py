"""Elasticsearch: documents that are found by what is in them. OpenSearch, its maintained fork, speaks the same calls.

It has no logins here: in the version that everybody may build there are none, and in others they would cost a learner a
certificate before the first search.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.errors import EnvironmentFault
from orchestrator.model import (
    Credentials,
    Endpoint,
    Fidelity,
    InstanceSpec,
    NotYet,
    Probe,
    Product,
    Ready,
)
from orchestrator.services.base import Ear, Recipe
from orchestrator.services.clients import ClientProgram, Known, known_failure, learner_name, password
from orchestrator.services.elasticsearch import space
from orchestrator.services.elasticsearch.evidence.rest import JSON, Refused, Rest

if TYPE_CHECKING:
    from orchestrator.services.elasticsearch.record import ElasticsearchRecorder

PROBE_SECONDS = 0.8
ADMIN_SECONDS = 20.0

_FAILURES = (
    Known("Another program uses this port; run `labs start` again, it takes the next free one.",
          r"Address already in use|BindHttpException"),
    Known("This machine lets a program map too few areas of memory; as its administrator run"
          " `sysctl -w vm.max_map_count=262144`, then `labs start`.",
          r"vm\.max_map_count .{1,40} is too low, increase|Map failed", frozenset({78})),
    Known("The disk is full; free some space (`labs clean` removes what labs made), then run `labs start`.",
          r"No space left on device"),
    Known("The disk is so full that Elasticsearch lets nobody write; free some space, then `labs reset elasticsearch`.",
          r"disk watermark .{1,200} exceeded|read-only-allow-delete"),
    Known("The data was made by another version of Elasticsearch; use that version again, or"
          " `labs reset elasticsearch` to start empty.",
          r"cannot (upgrade|downgrade) a node from version|[Cc]ould not load codec|IndexFormatTooNew|IndexFormatTooOld"
          r"|was (previously )?created (in|with) version .{1,80}(not|minimum)"),
    Known("Another Elasticsearch uses this data folder; end it, then `labs start`.",
          r"failed to obtain node locks?|LockObtainFailedException"),
    Known("Elasticsearch may not read or write its data folder; `labs reset elasticsearch` makes a new one.",
          r"AccessDeniedException"),
    Known("Elasticsearch's data is damaged; `labs reset elasticsearch` starts with an empty one.",
          r"CorruptIndexException|CorruptStateException|translog.{1,80}corrupt"),
    Known("Elasticsearch does not understand its settings; `labs doctor` says which version is used.",
          r"unknown setting \[|Unrecognized VM option|Could not create the Java Virtual Machine"),
    Known("Elasticsearch was ended because it, or the machine, ran out of memory; close other programs, then"
          " `labs start`.",
          r"java\.lang\.OutOfMemoryError", frozenset({137, -9})),
)
_OTHER_CLIENT = re.compile(
    r"UnsupportedProductError|ProductNotSupportedError|UnsupportedProductException|unknown product"
    r"|media_type_header_exception|server is not (?:a supported distribution of )?Elasticsearch"
    r"|not Elasticsearch and we do not support", re.IGNORECASE)


class ElasticsearchRecipe(Recipe):
    """See ``Recipe``; all capabilities but ``Untidy``. It runs in a container alone: there is no program to be had."""

    name = "elasticsearch"
    title = "Elasticsearch"
    port = 9200
    compose = "elasticsearch.yaml"
    memory = 300_000_000
    download = 700_000_000
    urls = ("ELASTICSEARCH_URL",)

    def credentials(self) -> Credentials:
        """Nobody logs in; names and passwords only tell one instance from another."""
        return Credentials("admin", password(), learner_name(), password(), "")

    def variables(self, spec: InstanceSpec) -> Mapping[str, str]:
        return {"LABS_ELASTICSEARCH_PORT": str(spec.port)}

    def probe(self, endpoint: Endpoint, credentials: Credentials) -> Probe:  # noqa: ARG002
        """Every index can be read and written when the cluster is ``yellow``: its second copies have no node here."""
        try:
            with Rest(endpoint.host, endpoint.port, PROBE_SECONDS) as rest:
                health = rest.get("/_cluster/health", timeout="300ms", master_timeout="300ms")
        except (OSError, Refused) as error:
            return NotYet(str(error) or type(error).__name__)
        status = health.get("status") if isinstance(health, Mapping) else None
        return Ready() if status in ("yellow", "green") else NotYet(f"its health is {status or 'not known'}")

    def fresh(self, endpoint: Endpoint, credentials: Credentials) -> None:  # noqa: ARG002
        with _asked(endpoint) as rest:
            space.fresh(rest)

    def contents(self, endpoint: Endpoint, credentials: Credentials) -> frozenset[str]:  # noqa: ARG002
        with _asked(endpoint) as rest:
            return space.contents(rest)

    def clear(self, endpoint: Endpoint, credentials: Credentials, *, spare: Collection[str]) -> None:  # noqa: ARG002
        with _asked(endpoint) as rest:
            space.clear(rest, spare)

    def product(self, endpoint: Endpoint, credentials: Credentials) -> Product:  # noqa: ARG002
        with _asked(endpoint) as rest:
            return product_of(rest.get("/"))

    def incarnation(self, endpoint: Endpoint, credentials: Credentials) -> str:  # noqa: ARG002
        """The node's id, which its data keeps, and when its Java was started."""
        with _asked(endpoint) as rest:
            return started(rest)

    def environment(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, str]:  # noqa: ARG002
        return {"ELASTICSEARCH_URL": f"http://{endpoint}"}

    def admin(self, endpoint: Endpoint, credentials: Credentials) -> Mapping[str, object]:  # noqa: ARG002
        return {"host": endpoint.host, "port": endpoint.port}

    def ears(self) -> Callable[[bool], Ear]:
        from orchestrator.services.elasticsearch.wire import HttpEar

        return lambda _new: HttpEar()

    def record(self, endpoint: Endpoint, credentials: Credentials) -> ElasticsearchRecorder:  # noqa: ARG002
        from orchestrator.services.elasticsearch.record import ElasticsearchRecorder

        return ElasticsearchRecorder(lambda: _asked(endpoint))

    def client(self, endpoint: Endpoint, credentials: Credentials, statement: str | None) -> Sequence[ClientProgram]:  # noqa: ARG002
        """There is none: ``labs connect`` has its prompt."""
        return ()

    def run_statement(self, endpoint: Endpoint, credentials: Credentials, statement: str) -> str:  # noqa: ARG002
        from orchestrator.services.elasticsearch.console import run

        with _asked(endpoint, accept="*/*") as rest:  # tables as tables
            return run(rest, statement)

    def advice(self, exit_code: int | None, log: str) -> str | None:
        return known_failure(_FAILURES, exit_code, log)

    def client_advice(self, endpoint: Endpoint, credentials: Credentials, said: str) -> str | None:
        if not _OTHER_CLIENT.search(said):
            return None
        product = self.product(endpoint, credentials)
        return (f"Your server's client library refuses {product.name} {product.version}, because it is made for "
                "another version or product. Use the library's version 7.13, or plain HTTP with JSON.")


RECIPE = ElasticsearchRecipe()


def product_of(said: Any) -> Product:
    """What runs, from ``GET /``. Look-alikes say a version, but have neither its commit nor its words."""
    version = said.get("version", {}) if isinstance(said, Mapping) else {}
    number, distribution = str(version.get("number", "")), str(version.get("distribution", ""))
    if distribution == "opensearch":
        return Product("OpenSearch", number, Fidelity.COMPATIBLE)
    genuine = (not distribution and said.get("tagline") == "You Know, for Search" and "build_flavor" in version
               and re.fullmatch(r"[0-9a-f]{40}", str(version.get("build_hash", "")))) if version else None
    if genuine:
        return Product("Elasticsearch", number, Fidelity.GENUINE)
    return Product("A look-alike of Elasticsearch", number, Fidelity.STAND_IN)


def started(rest: Rest) -> str:
    """Another value for each start of the node."""
    answer = rest.get("/_nodes/_local/jvm", filter_path="nodes.*.jvm.start_time_in_millis")
    ((node, said),) = answer["nodes"].items()
    return f"{node}-{said['jvm']['start_time_in_millis']}"


@contextmanager
def _asked(endpoint: Endpoint, accept: str = JSON) -> Iterator[Rest]:
    """A client. ``ConnectionError`` if the service is down or does not answer, ``EnvironmentFault`` if it refuses."""
    try:
        with Rest(endpoint.host, endpoint.port, ADMIN_SECONDS, accept) as rest:
            yield rest
    except Refused as error:
        raise EnvironmentFault(f"Elasticsearch refused what labs asked of it: {error}", code="service-refused",
                               hint="labs logs elasticsearch") from error
    except OSError as error:
        raise ConnectionError(f"Elasticsearch at {endpoint}: {error}") from error
