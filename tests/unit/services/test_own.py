"""A lab's own service as a recipe: what it asks, what it hands on, and that every instance carries it whole."""

from __future__ import annotations

import dataclasses
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from orchestrator import services
from orchestrator.engines import spec_json
from orchestrator.errors import EnvironmentFault
from orchestrator.model import Credentials, Endpoint, Fidelity, InstanceSpec, NotYet, Owner, Ready, ServiceNeed
from orchestrator.services.own import OwnRecipe, OwnService, decoded, product_of, ready_trouble
from orchestrator.services.places import container_of
from orchestrator.services.unknown import UnknownRecipe

COMPOSE = """services:
  minio:
    image: ${LABS_IMAGE_MINIO:-minio/minio:RELEASE.2025}
    environment: {ROOT: "${LABS_MINIO_ADMIN_USER:-a}", USER: "${LABS_MINIO_USER:-u}"}
    ports: ["127.0.0.1:${LABS_MINIO_PORT:-9000}:9000", "127.0.0.1:${LABS_MINIO_CONSOLE_PORT:-9001}:9001"]
    volumes: ["minio:/data", "cache:/cache"]
    mem_limit: 256m
    cpus: 1
    pids_limit: 64
"""
OWN = OwnService("minio", "services/minio.yaml", COMPOSE, "http /live", {
    "S3_KEY": "{user}", "S3_URL": "http://{host}:{port}", "S3_CONSOLE": "http://{host}:{port_console}"}, 0)
CREDENTIALS = Credentials("admin", "admin-pw", "learner_1", "pw", "app")
OWNER = Owner("e", "1", "i", "l", 1, 1.0, "environment")


def recipe(ready: str = "tcp") -> OwnRecipe:
    return OwnRecipe(dataclasses.replace(OWN, ready=ready))


def spec(one: services.Recipe) -> InstanceSpec:
    return InstanceSpec(one.name, "labs-e-minio", "e", "shop", OWNER, CREDENTIALS, 7000, True, "c",
                        more_ports={"console": 7001}, own=one.carried)


@contextmanager
def answering(status: int, body: bytes = b"") -> Iterator[Endpoint]:
    """A server that answers everything with this."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Endpoint(server.server_port)
        server.shutdown()


@contextmanager
def listening(*, closes: bool) -> Iterator[Endpoint]:
    """Takes connections, and closes them at once or keeps them."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as door:
        def serve() -> None:
            try:
                while True:
                    caller, _ = door.accept()
                    caller.close() if closes else kept.append(caller)
            except OSError:
                pass

        threading.Thread(target=serve, daemon=True).start()
        yield Endpoint(door.getsockname()[1])
        door.shutdown(socket.SHUT_RDWR)
    for one in kept:
        one.close()


def test_the_compose_file_says_ports_memory_and_image() -> None:
    """The first port is the main one; others have the names of their variables; memory is the limit if not said."""
    one = recipe()

    assert (one.port, dict(one.more_ports), one.memory, one.urls) == (
        9000, {"console": 9001}, 256 * 2**20, ("S3_URL", "S3_CONSOLE"))
    assert OwnRecipe(dataclasses.replace(OWN, memory=7)).memory == 7


def test_fresh_credentials_and_ports_reach_the_compose_file() -> None:
    """They come as LABS_ variables; each instance has its own."""
    one = recipe()

    assert one.variables(spec(one)) == {
        "LABS_MINIO_PORT": "7000", "LABS_MINIO_CONSOLE_PORT": "7001", "LABS_MINIO_USER": "learner_1",
        "LABS_MINIO_PASSWORD": "pw", "LABS_MINIO_DATABASE": "app", "LABS_MINIO_ADMIN_USER": "admin",
        "LABS_MINIO_ADMIN_PASSWORD": "admin-pw"}
    assert container_of(one, one.variables(spec(one))).environment == {"ROOT": "admin", "USER": "learner_1"}
    assert one.credentials() != one.credentials()


def test_templates_are_filled_and_never_know_the_administrator() -> None:
    """The target gets what the lab says; the checks' side gets everything."""
    endpoint = Endpoint(7000, others={"console": 7001})

    assert recipe().environment(endpoint, CREDENTIALS) == {
        "S3_KEY": "learner_1", "S3_URL": "http://127.0.0.1:7000", "S3_CONSOLE": "http://127.0.0.1:7001"}
    admin = recipe().admin(endpoint, CREDENTIALS)
    assert admin["ports"] == {"console": 7001}
    assert (admin["host"], admin["port"], admin["admin_password"]) == ("127.0.0.1", 7000, "admin-pw")
    with pytest.raises(EnvironmentFault, match="admin_password"):
        OwnRecipe(dataclasses.replace(OWN, env={"X": "{admin_password}"})).environment(endpoint, CREDENTIALS)


def test_http_is_ready_at_any_2xx_and_says_what_it_saw() -> None:
    """204 is as good as 200; what else came is said, with the first line of its body."""
    with answering(204) as endpoint:
        assert isinstance(recipe("http /live").probe(endpoint, CREDENTIALS), Ready)
    with answering(503, b"still loading\nmore") as endpoint:
        assert recipe("http /live").probe(endpoint, CREDENTIALS) == NotYet(
            "GET /live answered 503 Service Unavailable: still loading")
    assert isinstance(recipe("http /live").probe(endpoint, CREDENTIALS), NotYet)


def test_tcp_is_ready_when_a_connection_stays() -> None:
    """Docker's proxy takes every connection; one that is closed at once has nobody behind it."""
    with listening(closes=False) as endpoint:
        assert isinstance(recipe("tcp").probe(endpoint, CREDENTIALS), Ready)
        assert recipe("tcp").incarnation(endpoint, CREDENTIALS) == ""
    with listening(closes=True) as endpoint:
        assert recipe("tcp").probe(endpoint, CREDENTIALS) == NotYet("it takes connections and closes them at once")
    with pytest.raises(ConnectionError):
        recipe("tcp").incarnation(endpoint, CREDENTIALS)


def test_the_product_is_the_image_that_the_lab_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name and tag; another image that a person asks for is said; a registry's port is no tag."""
    assert str(recipe().product(Endpoint(1), CREDENTIALS)) == "minio/minio RELEASE.2025 (genuine)"
    monkeypatch.setenv("LABS_IMAGE_MINIO", "here:5000/minio@sha256:0123456789abcdef")
    product = recipe().product(Endpoint(1), CREDENTIALS)
    assert (product.name, product.version, product.fidelity) == ("here:5000/minio", "0123456789ab", Fidelity.GENUINE)
    monkeypatch.setenv("LABS_IMAGE_MINIO", "minio")
    assert product_of(container_of(recipe(), {"LABS_IMAGE_MINIO": "minio"})).version == "latest"


def test_an_instance_carries_its_recipe() -> None:
    """From the spec alone, through JSON, the same recipe is made: no lab and no file is needed."""
    found = spec_json.decode(json.loads(json.dumps(spec_json.encode(spec(recipe("log on"))))))
    made = services.recipe_of(services.Recipes(), found)

    assert isinstance(made, OwnRecipe)
    assert (made.carried, made.ready_log, made.compose_text) == (found.own, "on", COMPOSE)


@pytest.mark.parametrize("own", ["nonsense", "{}", '"minio"', OWN.encoded().replace("127.0.0.1:$", "0.0.0.0:$")])
def test_what_nobody_understands_can_still_be_seen(own: str) -> None:
    """A definition of another version, or of a service that is gone: no crash, and the engine's word counts."""
    made = services.recipe_of(services.Recipes(), dataclasses.replace(spec(recipe()), own=own))

    assert isinstance(made, UnknownRecipe)
    assert made.probe(Endpoint(1), CREDENTIALS) == NotYet("this labs does not know the service")
    assert made.environment(Endpoint(1), CREDENTIALS) == {}
    gone = dataclasses.replace(spec(recipe()), service="gone", own="")
    assert isinstance(services.recipe_of(services.Recipes(), gone), UnknownRecipe)


def test_the_labs_own_recipes_stand_beside_those_that_labs_knows() -> None:
    """By name, from what the lab needs; an instance of another lab's is made from what it carries."""
    own = services.own_recipes([ServiceNeed("redis", ">=7"), ServiceNeed("minio", "", OWN.encoded())])
    recipes = services.Recipes(own)

    assert list(own) == ["minio"]
    assert recipes["minio"].title == "minio"
    assert recipes["redis"].title == "Redis"
    assert services.recipe_of(recipes, spec(own["minio"])) is own["minio"]
    assert services.recipe_of(recipes, spec(recipe("log on"))).ready_log == "on"
    assert decoded(OWN.encoded()) == OWN


@pytest.mark.parametrize(("ready", "trouble"), [
    ("tcp", ""), ("http /live?deep=1", ""), ("log ready to (serve|listen)", ""),
    ("tcp 9000", "must be"), ("http live", "must be"), ("http", "must be"), ("log", "must be"), ("soon", "must be"),
    ("log (", "is not a pattern"),
])
def test_words_for_ready(ready: str, trouble: str) -> None:
    """Three forms; anything else is said."""
    assert trouble in ready_trouble(ready)
    assert bool(trouble) == bool(ready_trouble(ready))
