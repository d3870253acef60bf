"""The command ``labs``: knows its commands by name and imports only the one that runs."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from orchestrator import __version__
from orchestrator.errors import did_you_mean
from orchestrator.system.interrupt import interrupt_once

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

GROUPS: dict[str, dict[str, str]] = {
    "Learn": {
        "list": "List available labs",
        "info": "A lab: its services and milestones",
        "init": "Make your server's folder from a starter",
        "brief": "What to build next, on one screen",
        "contract": "What your server must answer, route by route",
        "check": "Judge your server, with evidence from the services",
        "watch": "Judge it again on every save",
        "hint": "A hint for what failed, a little more at each call",
        "trace": "The last run: each request and what the services saw of it",
        "explore": "Every step of a request: held, killed or cut there",
        "run": "Your server, or a debugger, where the last check failed",
        "share": "A page and a badge of what passed, for others to see",
        "bundle": "Pack logs and versions for somebody who helps you",
    },
    "Services": {
        "start": "Start a lab's services and keep them running",
        "status": "What runs, and where",
        "env": "The variables that your server needs",
        "connect": "Open a service's own client",
        "logs": "What a service wrote",
        "fault": "Break a service on purpose, and heal it",
        "stop": "Stop services; data is kept",
        "reset": "Empty a service, or all of them",
        "clean": "Remove services with all their data",
    },
    "Teach": {
        "new": "A new lab or milestone to fill in",
        "lint": "Every problem of a lab, with file and line",
        "verify": "Prove that a lab's checks are right",
        "add": "Labs from a git repository or a folder",
        "remove": "An added lab is no longer there",
        "update": "Newer versions of added labs, milestone by milestone",
        "schema": "JSON Schema of lab.toml, workspace.toml and reports",
    },
    "Machine": {
        "doctor": "What is missing on this machine, and how to get it",
        "pull": "Get a lab's images before you need them",
        "images": "Build, list, save and load service images",
        "completion": "Complete commands and names in your shell",
        "man": "The manual page",
    },
}


class Labs(click.Group):
    """Loads a command's module when the command is asked for; groups them in the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for commands in GROUPS.values() for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if not any(cmd_name in commands for commands in GROUPS.values()):
            return None
        module = importlib.import_module(f"orchestrator.cli.{cmd_name}_command")
        found = module.cli
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        named = bool(args) and not args[0].startswith("-")
        # A shell that asks for completions must not see an error.
        if named and not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            near = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"there is no command {args[0]!r}{near}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names from the table: a shell must not wait for every command to be imported."""
        from click.shell_completion import CompletionItem

        known = [CompletionItem(name, help=about) for group in GROUPS.values() for name, about in group.items()
                 if name.startswith(incomplete)]
        return known or super().shell_complete(ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, commands in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(list(commands.items()))


@click.group(cls=Labs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="labs")
@click.option("--json", "as_json", is_flag=True, envvar="LABS_JSON", help="Answer as one JSON document.")
@click.pass_context
def labs(ctx: click.Context, as_json: bool) -> None:
    """Real services for learners of back-end development, and proof that their server uses them right.

    Without a command: where you stand, and what to do next.
    """
    if ctx.invoked_subcommand is None:
        from orchestrator.cli.home_command import show

        raise SystemExit(show(as_json=as_json))
    if as_json:
        # `labs --json status` means `labs status --json`.
        ctx.default_map = {ctx.invoked_subcommand: {"as_json": True}}


def main(arguments: list[str] | None = None) -> None:
    """The console script. SIGTERM and SIGHUP end it as Ctrl-C does: cleaned up, exit 130."""
    interrupt_once()
    raise SystemExit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = labs.main(args=arguments, prog_name="labs", standalone_mode=False)
    except click.UsageError as error:
        return _usage(error)
    except click.ClickException as error:
        error.show()
        return 2
    except click.Abort:  # a no, or Ctrl-C at a question
        sys.stderr.write("nothing done\n")
        return 130
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    except BrokenPipeError:
        # The reader of our output went away: not an error, and Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return result if isinstance(result, int) else 0


def _usage(error: click.UsageError) -> int:
    """A wrong command line: one line of cause, one next command; with ``--json`` the envelope."""
    from orchestrator.cli.outcome import Outcome, render
    from orchestrator.errors import UsageError

    command = error.ctx.command_path if error.ctx else "labs"
    wrapped = UsageError(error.format_message(), hint=f"{command} --help")
    render(command.removeprefix("labs").strip(), Outcome(exit_code=2, errors=(wrapped,)), as_json="--json" in sys.argv)
    return 2
