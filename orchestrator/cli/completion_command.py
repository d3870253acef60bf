"""``labs completion``: the shell's script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from orchestrator.cli.command import argument, command
from orchestrator.cli.outcome import Outcome, say

INSTALL = {
    "bash": "labs completion bash > ~/.local/share/bash-completion/completions/labs",
    "zsh": "labs completion zsh > ~/.zfunc/_labs   (and in ~/.zshrc: fpath+=~/.zfunc; autoload -U compinit; compinit)",
    "fish": "labs completion fish > ~/.config/fish/completions/labs.fish",
}


@command("completion")
@argument("shell", type=click.Choice(sorted(INSTALL)))
def cli(shell: str) -> Outcome:
    """Print a script that completes commands, labs, milestones and services in your shell.

    \b
    labs completion bash > ~/.local/share/bash-completion/completions/labs
    labs completion zsh > ~/.zfunc/_labs
    labs completion fish > ~/.config/fish/completions/labs.fish
    """
    from orchestrator.cli.main import labs

    kind = get_completion_class(shell)
    assert kind is not None
    say(f"to keep it: {INSTALL[shell]}")
    script = kind(labs, {}, "labs", "_LABS_COMPLETE").source()
    return Outcome({"shell": shell, "script": script}, script)
