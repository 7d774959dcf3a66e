"""Completion by the shell: the command that prints its script, and what is completed.

Command line. The mechanism is click's; names come from the fleet, where one is named and
answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from pyagent_orch.cli.arguments import Installation, command

if TYPE_CHECKING:
    from pyagent_orch.store.names import Names

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
VARIABLE = "_PYAGENT_ORCH_COMPLETE"


@command("completion", "Start here")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(_: Installation, *, shell: str) -> None:
    """Print the script by which SHELL completes commands, options and names.

    Names of agents and queues, and ids of tasks, workflows and jobs, come from the fleet of
    PYAGENT_ORCH_REDIS_URL, if it answers within half a second.
    """
    from pyagent_orch.cli.program import PROGRAM, program

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(program, {}, PROGRAM, VARIABLE).source())


def agents(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of an agent; what follows it is free text."""
    if any(context.params.get(name) for name in ("words", "instructions")):
        return []
    return _items(context, begun, lambda names: dict.fromkeys(names.agents, ""))


def queues(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a queue."""
    return _items(context, begun, lambda names: dict.fromkeys(names.queues, ""))


def task_names(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the name of a task that moved lately."""
    return _items(context, begun, lambda names: dict.fromkeys(names.tasks.values(), ""))


def tasks(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the id of a task that moved lately."""
    return _items(context, begun, lambda names: dict(names.tasks))


def workflows(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the id of a workflow that moved lately."""
    return _items(context, begun, lambda names: dict(names.workflows))


def jobs(context: click.Context, _: click.Parameter, begun: str) -> list[CompletionItem]:
    """Complete the id of a scheduled job."""
    return _items(context, begun, lambda names: dict(names.jobs))


def _items(
    context: click.Context, begun: str, choose: Callable[[Names], dict[str, str]]
) -> list[CompletionItem]:
    from pyagent_orch.escape import one_line
    from pyagent_orch.exceptions import PyAgentOrchError

    try:
        settings = context.ensure_object(Installation).fleet_settings()
        from pyagent_orch.store.names import read_names

        found = choose(read_names(settings))
    except PyAgentOrchError:
        # Nobody is told: whatever is printed here lands in the middle of a line being typed.
        return []
    items: list[Any] = [
        CompletionItem(name, help=one_line(told) or None)
        for name, told in found.items()
        # A shell would take what does not print, or another line, for something else.
        if name.startswith(begun) and name == one_line(name)
    ]
    return items
