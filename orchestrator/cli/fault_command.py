"""``labs fault``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import argument, command, engine_option, name_option, option
from orchestrator.cli.outcome import Outcome, counted, say, table
from orchestrator.faults.toxics import KINDS

if TYPE_CHECKING:
    from orchestrator.environments.started import Started
    from orchestrator.environments.toolbox import Toolbox
    from orchestrator.faults.record import LastingFault

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


@click.group("fault", context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Break your own services on purpose, and see what your server does.

    labs fault add postgres latency --ms 300 · labs fault list · labs fault heal
    """


def _kinds(*, link: bool) -> str:
    return "\n".join(f"    {one.name:<12}{one.about}" for one in KINDS.values() if one.link is link)


def _add_help() -> str:
    return ("Break a service of the environment that `labs start` runs.\n\n"
            "Faults of its connections, open ones and new ones. The first one on a service starts that service anew, "
            "at the same address; all others come and go while your server is connected.\n\n"
            f"\b\n{_kinds(link=True)}\n\nFaults of the service itself:\n\n\b\n{_kinds(link=False)}")


@command("list")
@name_option
@engine_option
def list_(name: str | None, engine: str | None) -> Outcome:
    """What is broken now, in every environment."""
    from orchestrator.cli.service_lines import fault_data
    from orchestrator.cli.toolbox import named_or_all, open_started

    with open_started(engine, quiet=True) as started:
        found = [(one, fault) for one in named_or_all(started, name) for toolbox in started.toolboxes
                 for fault in toolbox.faults.active(one)]
        rows = [("ID", "ENVIRONMENT", "SERVICE", "FAULT", "LEFT")]
        rows += [(fault.id, one, fault.service, words(fault), _left(fault)) for one, fault in found]
        text = table(rows) if found else "nothing is broken\n\nnext: labs fault add SERVICE latency --ms 300"
        return Outcome({"faults": [{"environment": one, **fault_data(fault)} for one, fault in found]}, text)


@command("add")
@argument("service")
@argument("kind", metavar="FAULT")
@option("--ms", type=float, help="Milliseconds.")
@option("--jitter", type=float, help="Milliseconds more or less, at random (latency).")
@option("--rate", type=float, help="Kilobytes a second (bandwidth).")
@option("--bytes", type=float, help="How many bytes (slicer, limit_data).")
@option("--direction", type=click.Choice(["downstream", "upstream", "both"]), default="downstream", show_default=True,
        help="downstream: the service's answers; upstream: what your server sends.")
@option("--for", "for_", help="Heal it after this time: 30s, 5m (default: until labs fault heal or labs stop).")
@name_option
@engine_option
def add(service: str, kind: str, ms: float | None, jitter: float | None, rate: float | None, bytes: float | None,  # noqa: A002
        direction: str, for_: str | None, name: str | None, engine: str | None) -> Outcome:
    from orchestrator.cli.service_lines import fault_data
    from orchestrator.cli.toolbox import environment_of, open_started
    from orchestrator.faults.toxics import DIRECTIONS, kind_of, numbers_of

    chosen = kind_of(kind)
    given = {"ms": ms, "jitter": jitter, "rate": rate, "bytes": bytes}
    numbers = numbers_of(chosen, {key: value for key, value in given.items() if value is not None})
    seconds = seconds_of(for_)
    with open_started(engine, quiet=True) as started:
        environment = environment_of(started, service, name)
        toolbox = started.where(environment, service)
        added = toolbox.faults.add(
            environment, service, chosen, DIRECTIONS if direction == "both" else (direction,), numbers, seconds,
            on_move=lambda: say(f"note: {service} is started anew once, at the same address; its connections end"))
    text = "\n".join(f"{one.id}  {service}: {words(one)}" for one in added.faults)
    if chosen.name == "restart":
        return Outcome({"faults": [], "moved": False}, f"{service} was restarted and answers again")
    return Outcome({"faults": [fault_data(one) for one in added.faults], "moved": added.moved},
                   f"{text}\n\nlabs fault rm {added.faults[0].id}   heal it\nlabs fault heal   heal all")


add.help = _add_help()


@command("rm")
@argument("fault", metavar="ID", nargs=-1, required=True)
@name_option
@engine_option
def rm(fault: tuple[str, ...], name: str | None, engine: str | None) -> Outcome:
    """Heal one fault, by the number that `labs fault list` shows."""
    from orchestrator.cli.toolbox import environment_name, open_started

    with open_started(engine, quiet=True) as started:
        return _healed(started, environment_name(started, name), fault, None)


@command("heal")
@argument("service", required=False)
@name_option
@engine_option
def heal(service: str | None, name: str | None, engine: str | None) -> Outcome:
    """Heal every fault, or those of one service."""
    from orchestrator.cli.toolbox import check_service, environment_name, open_started

    with open_started(engine, quiet=True) as started:
        if service is not None:
            check_service(started, service)
        return _healed(started, environment_name(started, name), None, service)


def _healed(started: Started, name: str, ids: tuple[str, ...] | None, service: str | None) -> Outcome:
    from orchestrator.cli.service_lines import fault_data

    healed = _where(started, name).faults.heal(name, ids, service)
    text = "\n".join([f"healed {counted(len(healed), 'fault')}", *(f"{one.service}: {words(one)}" for one in healed)])
    return Outcome({"healed": [fault_data(one) for one in healed]}, text if healed else "nothing was broken")


def _where(started: Started, name: str) -> Toolbox:
    """The engine on which something of the environment is broken; else where it runs."""
    return next((one for one in started.toolboxes if one.faults.active(name)), started.where(name))


def words(fault: LastingFault) -> str:
    """``latency 300 ms, downstream``."""
    numbers = fault.numbers
    parts = [fault.kind]
    if numbers.get("bytes"):
        parts.append(f"{numbers['bytes']:g} bytes")
    if numbers.get("rate"):
        parts.append(f"{numbers['rate']:g} KB/s")
    if numbers.get("ms"):
        parts.append(f"{numbers['ms']:g} ms")
    if numbers.get("jitter"):
        parts.append(f"± {numbers['jitter']:g} ms")
    return " ".join(parts) + (f", {fault.direction}" if fault.direction else "")


def _left(fault: LastingFault) -> str:
    left = fault.seconds_left
    return "until you heal it" if left is None else f"{left:.0f} s"


def seconds_of(text: str | None) -> float | None:
    """``30s``, ``5m``, ``1h``, ``30``: seconds. ``UsageError``."""
    from orchestrator.errors import UsageError

    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    if not 0 < seconds <= 86_400:
        raise UsageError(f"--for is a time up to 24 hours, as 30s or 5m, not {text!r}", code="fault-numbers",
                         hint="labs fault add --help")
    return seconds


for one in (list_, add, rm, heal):
    cli.add_command(one)
