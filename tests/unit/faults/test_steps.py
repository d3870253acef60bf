"""Steps at the proxy: how they are counted, and what can be done to one of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from support.shop import Client, Shop, WordEar
from support.wait import until

from orchestrator.faults.proxy import Proxy
from orchestrator.faults.steps import Steps, Wish
from orchestrator.model import Endpoint


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


@pytest.fixture
def link(proxy: Proxy, shop: Shop) -> Endpoint:
    return proxy.open("shop", Endpoint(shop.server_address[1]))


@pytest.fixture
def steps(proxy: Proxy, link: Endpoint) -> Steps:
    return proxy.steps({"shop": WordEar})


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while Client.open:
        Client.open.pop().close()


def names(steps: Steps) -> list[str]:
    return [step.text for step in steps.taken()]


def test_a_round_trip_is_a_step_however_it_is_cut_into_pieces(steps: Steps, link: Endpoint) -> None:
    """What is sent before the answer belongs to the same step; what is sent after it begins the next one."""
    steps.arm("")
    one, two = Client(link), Client(link)
    one.send("a 1", "b 2")
    assert (one.hear(), one.hear()) == ("ok a 1", "ok b 2")
    two.ask("a 3")
    one.ask("a 4")

    assert [(step.number, step.text, step.kind, step.nth) for step in steps.taken()] == [
        (1, "a 1; b 2", "a; b", 1), (2, "a 3", "a", 1), (3, "a 4", "a", 2)]
    first, second, third = (step.connection for step in steps.taken())
    assert first == third != second


def test_without_an_ear_steps_have_numbers_only(proxy: Proxy, link: Endpoint) -> None:
    """The proxy needs to know no protocol."""
    steps = proxy.steps({})
    steps.arm("")
    client = Client(link)
    client.ask("a")
    client.ask("b")

    assert [(step.text, step.kind, step.nth) for step in steps.taken()] == [("", "", 1), ("", "", 2)]


def test_connections_of_before_are_looked_at_too(proxy: Proxy, link: Endpoint) -> None:
    """A server keeps its pool from before the first exploration."""
    client = Client(link)
    client.ask("early")
    steps = proxy.steps({"shop": WordEar})
    steps.arm("")
    client.ask("late")

    assert names(steps) == ["late"]


def test_each_server_has_links_of_its_own(proxy: Proxy, steps: Steps, link: Endpoint) -> None:
    """What a replica does is no step of the server; a fault of the service is a fault for both."""
    other = proxy.branch("replica-1")["shop"]
    assert other != link
    steps.arm("")
    main, replica = Client(link), Client(other)
    replica.ask("theirs")
    main.ask("mine")

    assert names(steps) == ["mine"]
    assert (proxy.opened("shop"), proxy.open_connections("shop")) == (2, 2)
    assert proxy.cut("shop") == 2
    assert main.is_cut()
    assert replica.is_cut()
    proxy.drop("replica-1")
    with pytest.raises(ConnectionRefusedError):
        Client(other)
    assert Client(link).ask("again") == "ok again"


def test_a_new_server_s_links_stand_as_the_others_do(proxy: Proxy, shop: Shop, link: Endpoint) -> None:
    """A replica that starts while the service is cut off does not find it."""
    proxy.down("shop")
    down = proxy.branch("replica-1")["shop"]
    with pytest.raises(ConnectionRefusedError):
        Client(down)
    proxy.up("shop")
    assert Client(down).ask("a") == "ok a"

    proxy.hold("shop")
    held = Client(proxy.branch("replica-2")["shop"])
    held.send("b")
    assert held.hears_nothing()
    proxy.heal()
    assert held.hear() == "ok b"


def test_a_held_step_has_not_reached_the_service_until_it_is_released(steps: Steps, link: Endpoint, shop: Shop) -> None:
    """Only this step stands still: other connections go on."""
    steps.arm("", Wish("hold", "shop", "set", 2))
    one, two = Client(link), Client(link)
    one.ask("set 1")
    one.send("set 2")
    acted = steps.acted(5.0)
    assert acted is not None
    assert (acted.number, acted.text) == (2, "set 2")
    assert one.hears_nothing()
    assert two.ask("set 3") == "ok set 3"
    assert shop.lines == ["set 1", "set 3"]

    steps.release()
    assert one.hear() == "ok set 2"
    assert one.ask("set 4") == "ok set 4"


def test_a_step_is_known_by_its_kind_and_not_by_its_number(steps: Steps, link: Endpoint) -> None:
    """A ping, or a statement that is prepared in one run and not in the next, does not move what is held."""
    steps.arm("", Wish("hold", "shop", "set", 1))
    client = Client(link)
    client.ask("ping")
    client.send("set 1")
    acted = steps.acted(5.0)

    assert acted is not None
    assert (acted.number, acted.text) == (2, "set 1")


def test_a_dropped_step_never_arrives(steps: Steps, link: Endpoint, shop: Shop) -> None:
    """The server is dead: what it had not sent yet is not sent any more."""
    steps.arm("", Wish("hold", "shop", "set", 1))
    client = Client(link)
    client.send("set 1")
    assert steps.acted(5.0) is not None
    steps.drop()

    assert client.is_cut()
    assert Client(link).ask("get") == "ok get"
    assert shop.lines == ["get"]


def test_a_step_that_was_held_arrives_although_its_sender_went_away(steps: Steps, link: Endpoint, shop: Shop) -> None:
    """What was sent is on its way, whether or not the sender still waits for an answer."""
    steps.arm("", Wish("hold", "shop", "set", 1))
    client = Client(link)
    client.send("set 1")
    assert steps.acted(5.0) is not None
    client.close()
    steps.release()

    until(lambda: shop.lines == ["set 1"])


def test_a_cut_comes_before_the_service_and_a_loss_after_it(steps: Steps, link: Endpoint, shop: Shop) -> None:
    """Both look the same to the server: that is the point."""
    for deed, reached in (("cut", []), ("lose", ["set"])):
        shop.lines.clear()
        steps.arm("", Wish(deed, "shop", "set", 1))  # type: ignore[arg-type]
        client = Client(link)
        client.send("set")
        assert steps.acted(5.0) is not None
        assert client.is_cut()
        assert shop.lines == reached
    assert Client(link).ask("set") == "ok set"


def test_a_late_step_arrives_when_its_sender_has_lost_its_connection(steps: Steps, link: Endpoint, shop: Shop) -> None:
    """The sender is cut off at once; what it sent reaches the service later, and others are served meanwhile."""
    steps.arm("", Wish("late", "shop", "set", 1))
    client = Client(link)
    client.send("set")
    assert steps.acted(5.0) is not None
    assert client.is_cut()
    assert shop.lines == []
    assert Client(link).ask("get") == "ok get"
    steps.release()
    until(lambda: shop.lines == ["get", "set"])
    assert Client(link).ask("set") == "ok set"


def test_a_muted_step_was_done_and_its_answer_waits(steps: Steps, link: Endpoint, shop: Shop) -> None:
    """The last moment of a request: all is done, and the server does not know it yet."""
    steps.arm("", Wish("mute", "shop", "set", 1))
    client = Client(link)
    client.send("set")
    assert steps.acted(5.0) is not None
    assert shop.lines == ["set"]
    assert client.hears_nothing()
    steps.release()
    assert client.hear() == "ok set"


def test_a_delayed_step_goes_on_by_itself(steps: Steps, link: Endpoint) -> None:
    """Nobody has to release it."""
    steps.arm("", Wish("delay", "shop", "set", 1, 0.2))
    client = Client(link)
    began = time.monotonic()
    client.send("set")
    assert steps.acted(5.0) is not None
    assert client.hear() == "ok set"
    assert time.monotonic() - began >= 0.2


def test_each_step_can_be_held_in_turn(steps: Steps, link: Endpoint) -> None:
    """A request is walked through from step to step."""
    steps.arm("", Wish("hold"))
    client = Client(link)
    seen = []
    for line in ("a", "b"):
        client.send(line)
        acted = steps.acted(5.0)
        assert acted is not None
        seen.append(acted.text)
        steps.release()
        assert client.hear() == f"ok {line}"
    assert seen == ["a", "b"]
    steps.wake()
    assert steps.acted(5.0) is None


def test_what_a_server_sends_by_itself_is_no_step(steps: Steps, link: Endpoint) -> None:
    """Pings are told apart by connection and kind: the same connection may carry a request's steps, too."""
    pinging, other = Client(link), Client(link)
    learning = threading.Thread(target=steps.learn, args=("", 0.3))
    learning.start()
    pinging.ask("ping")
    learning.join()
    steps.arm("")
    pinging.ask("ping")
    pinging.ask("set 1")
    other.ask("ping")

    assert [(step.number, step.text) for step in steps.taken()] == [(1, "set 1"), (2, "ping")]


def test_a_good_bye_is_no_step(steps: Steps, link: Endpoint, shop: Shop) -> None:
    """Nothing is answered to it, so nothing could be waited for."""
    steps.arm("")
    client = Client(link)
    client.ask("set")
    client.send("bye")
    until(lambda: "bye" in shop.lines)

    assert names(steps) == ["set"]


def test_a_step_waits_until_its_message_is_whole_but_not_for_long(
    steps: Steps, link: Endpoint, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that writes a message in pieces is held before its first one; one that never ends it is let through."""
    steps.arm("", Wish("hold", "shop", "set", 1))
    client = Client(link)
    with monkeypatch.context() as patient:
        patient.setattr("orchestrator.faults.steps.PART_PATIENCE", 5.0)  # a busy machine may pause between the pieces
        client.socket.sendall(b"se")
        client.socket.sendall(b"t 1\n")
        assert steps.acted(4.0) is not None
    assert shop.lines == []
    steps.release()
    assert client.hear() == "ok set 1"

    client.socket.sendall(b"half")
    until(lambda: len(steps.taken()) == 2)
    client.socket.sendall(b" and half\n")
    assert client.hear() == "ok half and half"
    assert names(steps)[-1] == "half..."  # what was known of it when it went on


def test_settle_waits_for_what_comes_after_the_answer(steps: Steps, link: Endpoint) -> None:
    """A server may go on when its client has its answer."""
    steps.arm("")
    client = Client(link)
    client.ask("a")
    threading.Timer(0.1, client.ask, ["b"]).start()
    steps.settle(0.3, 5.0)

    assert names(steps) == ["a", "b"]


def test_settle_waits_for_others_than_who_is_held(steps: Steps, shop: Shop, link: Endpoint) -> None:
    """While one connection stands, what was sent on another is done before anybody looks what is written."""
    steps.arm("", Wish("hold", "shop", "set", 1))
    held, other = Client(link), Client(link)
    other.send("later")
    until(lambda: len(steps.taken()) == 1)
    held.send("set")
    assert steps.acted(5.0) is not None
    threading.Timer(0.1, shop.now.set).start()
    steps.settle(0.0, 5.0)

    assert shop.now.is_set()
    assert names(steps) == ["later", "set"]


def test_healing_lets_go_of_what_is_held(proxy: Proxy, steps: Steps, link: Endpoint) -> None:
    """However a check ends, the next one finds the links as new."""
    steps.arm("", Wish("hold", "shop", "set", 1))
    client = Client(link)
    client.send("set")
    assert steps.acted(5.0) is not None
    proxy.heal()

    assert client.hear() == "ok set"
    assert client.ask("set") == "ok set"
    assert proxy.alive()
