"""The program `pyagent-orch`: its commands, in the sections of its help.

Command line. A new command is a function in a module of this room, made with
`arguments.command`, and an entry in `COMMANDS`.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import version
from typing import Any

import click

from pyagent_orch.cli.arguments import Command, Group, global_options
from pyagent_orch.cli.demo import demo
from pyagent_orch.cli.doctor import doctor
from pyagent_orch.cli.events import events
from pyagent_orch.cli.exits import ReaderGoneError
from pyagent_orch.cli.fleet import worker, workers
from pyagent_orch.cli.health import health
from pyagent_orch.cli.letters import dead, retry
from pyagent_orch.cli.schedules import beat, schedules
from pyagent_orch.cli.submit import submit
from pyagent_orch.cli.tasks import cancel, list_tasks, show, status
from pyagent_orch.cli.workflows import run, watch

PROGRAM = "pyagent-orch"
COMMANDS: tuple[Command | Group, ...] = (
    demo,
    submit,
    status,
    show,
    list_tasks,
    cancel,
    dead,
    retry,
    run,
    watch,
    schedules,
    beat,
    worker,
    workers,
    events,
    doctor,
    health,
)
"""In the order of the help; a section stands where its first command does."""


class _Program(click.Group):
    """The group of all commands, which lists them by section."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGoneError from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # Only the newest releases of click have a hint.
        near = [] if args[0] in self.commands else get_close_matches(args[0], self.commands, 1)
        if near:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for command in COMMANDS:
            entry = (command.name or "", command.get_short_help_str(limit=60))
            sections.setdefault(command.section, []).append(entry)
        for title, entries in sections.items():
            with formatter.section(title):
                formatter.write_dl(entries)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"{PROGRAM} {version('pyagent-orch')}")
        context.exit()


program = _Program(
    PROGRAM,
    commands={command.name: command for command in COMMANDS if command.name},
    params=[
        *global_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ],
    help="Run AI agents on a fleet of Celery workers, and watch them.\n\n"
    "Every command tells more with --help. Settings come from PYAGENT_ORCH_* variables: "
    "PYAGENT_ORCH_REDIS_URL says where the fleet is.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
