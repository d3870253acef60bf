"""How a command is declared: options that are also ``LABS_...`` variables, ``--json``, errors that help."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.outcome import Outcome, render
from orchestrator.errors import Bug, EnvironmentFault, LabsError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Function = Callable[..., Any]
FULL = (errno.ENOSPC, errno.EDQUOT)


def command(name: str) -> Callable[[Callable[..., Outcome]], click.Command]:
    """Turn a function that returns an ``Outcome`` into the command ``name``. Adds ``--json``."""

    def decorate(function: Callable[..., Outcome]) -> click.Command:
        def run(**parameters: Any) -> None:
            as_json = bool(parameters.pop("as_json"))
            outcome = guarded(lambda: function(**parameters))
            render(name, outcome, as_json=as_json)
            raise SystemExit(outcome.exit_code)

        run.__doc__ = function.__doc__
        # Click collects parameters on the function that it decorates.
        run.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
        with_json = option("--json", "as_json", is_flag=True, help="Answer as one JSON document.")(run)
        return click.command(name, context_settings={"help_option_names": ["-h", "--help"]})(with_json)

    return decorate


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from orchestrator.cli.complete import complete

    return complete(ctx.command.name or "", parameter.name or "", incomplete)


def argument(*declarations: str, **attributes: Any) -> Callable[[Function], Function]:
    """A Click argument that shells complete: by its type, or by what its name stands for (lab, milestone, service)."""
    if "type" not in attributes:
        attributes.setdefault("shell_complete", _complete)
    return click.argument(*declarations, **attributes)


def option(*declarations: str, **attributes: Any) -> Callable[[Function], Function]:
    """A Click option that can be given as an environment variable, too: ``--engine`` is ``LABS_ENGINE``."""
    long = next(part for part in declarations if part.startswith("--"))
    attributes.setdefault("envvar", "LABS_" + long.split("/")[0].lstrip("-").upper().replace("-", "_"))
    if not attributes.keys() & {"type", "is_flag"}:
        attributes.setdefault("shell_complete", _complete)
    return click.option(*declarations, **attributes)


engine_option = option("--engine", type=click.Choice(["docker", "embedded"]),
                       help="Run services with this. Default: Docker if it is running, otherwise local processes.")
name_option = option("--name", help="The environment's name (default: the lab's name).")
yes_option = option("--yes", "-y", is_flag=True, help="Do not ask.")
dry_run_option = option("--dry-run", is_flag=True, help="Print what would be done, with reasons, and do nothing.")


def guarded(action: Callable[[], Outcome]) -> Outcome:
    """Run it; every error becomes an outcome. Nobody sees a traceback unless ``LABS_DEBUG=1``."""
    try:
        return action()
    except LabsError as error:
        return Outcome(exit_code=error.exit_code, errors=(error,))
    except KeyboardInterrupt:
        stopped = EnvironmentFault("stopped; everything is cleaned up", code="interrupted")
        return Outcome(exit_code=130, errors=(stopped,))
    except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
        raise
    except OSError as error:
        # A copy of many files tells what went wrong with each in words only.
        if error.errno not in FULL and not any(os.strerror(number) in str(error) for number in FULL):
            return _bug(error)
        full = EnvironmentFault(f"the disk is full{f': {error.filename} cannot be written' if error.filename else ''}",
                                code="disk-full", hint="labs clean   (removes services with their data)")
        return Outcome(exit_code=full.exit_code, errors=(full,))
    except Exception as error:
        return _bug(error)


def _bug(error: Exception) -> Outcome:
    if os.environ.get("LABS_DEBUG"):
        raise error
    return Outcome(exit_code=Bug.exit_code, errors=(Bug(
        f"this is our mistake, not yours: {type(error).__name__}: {error}",
        hint="LABS_DEBUG=1 labs ...   (shows where; please report it)"),))


def confirm(question: str, *, yes: bool) -> None:
    """Ask on a terminal; without one, or with ``--yes``, do not. A no ends the command as Ctrl-C does: exit 130."""
    if yes or not _somebody_is_here():
        return
    if not click.confirm(question, default=False, err=True):
        raise click.Abort


def confirm_loss(question: str, *, yes: bool, command: str) -> None:
    """As ``confirm``, where data will be gone: without a terminal only ``--yes`` is a yes. ``command``: with it."""
    if not yes and not _somebody_is_here():
        raise UsageError("this deletes data, and there is no terminal to ask on; nothing was deleted",
                         code="not-confirmed", hint=command)
    confirm(question, yes=yes)


def _somebody_is_here() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
