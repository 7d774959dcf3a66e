"""The program `pyagent-orch`: its commands, in the sections of its help.

Command line. A new command is a function in a module of this room, made with
`arguments.command`, and an entry in `COMMANDS`. A module is imported when its command is
wanted, so that a command costs the start of no other one.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from pyagent_orch.cli.arguments import Command, Group, global_options, summary
from pyagent_orch.cli.exits import ReaderGoneError

PROGRAM = "pyagent-orch"
COMMANDS = {
    "demo": "demo:demo",
    "completion": "completion:completion",
    "submit": "submit:submit",
    "status": "tasks:status",
    "show": "tasks:show",
    "list": "tasks:list_tasks",
    "cancel": "tasks:cancel",
    "dead": "letters:dead",
    "retry": "letters:retry",
    "run": "workflows:run",
    "watch": "workflows:watch",
    "schedules": "schedules:schedules",
    "beat": "schedules:beat",
    "up": "up:up",
    "top": "top:top",
    "worker": "fleet:worker",
    "workers": "fleet:workers",
    "flower": "flower:flower",
    "dashboard": "dashboard:dashboard",
    "events": "events:events",
    "doctor": "doctor:doctor",
    "health": "health:health",
    "metrics": "metrics:metrics",
}
"""Maps a command's name to the module of this room and the name that it has there; in the
order of the help, where a section stands at its first command."""


def load(name: str) -> Command | Group:
    """Import a command.

    Args:
        name: one of `COMMANDS`.
    """
    module, _, attribute = COMMANDS[name].partition(":")
    found: Command | Group = getattr(import_module(f"pyagent_orch.cli.{module}"), attribute)
    return found


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
        near = [] if args[0] in COMMANDS else get_close_matches(args[0], COMMANDS, 1)
        if near:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        return load(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for command in map(load, COMMANDS):
            entry = (command.name or "", summary(command))
            sections.setdefault(command.section, []).append(entry)
        for title, entries in sections.items():
            with formatter.section(title):
                formatter.write_dl(entries)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"{PROGRAM} {version('pyagent-orch')}")
        context.exit()


program = _Program(
    PROGRAM,
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
