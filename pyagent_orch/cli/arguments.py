"""What commands share: the global options, `--json`, and the types of options.

Command line. Knows click and the settings; the facade is imported when a command
asks for it, so that help and shell completion answer at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyagent_orch.cli.times import parse_duration

if TYPE_CHECKING:
    from pyagent_orch.config import Settings
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator import Orchestrator

F = TypeVar("F", bound=Callable[..., Any])

URL_VARIABLE = "PYAGENT_ORCH_REDIS_URL"


@dataclass
class Installation:
    """Which installation a command talks to; filled by the global options."""

    redis_url: str | None = None
    namespace: str | None = None
    verbose: bool = False

    def settings(self, **overrides: object) -> Settings:
        """The settings of the environment and the global options.

        Raises:
            ConfigurationError: a setting does not fit.
        """
        from pyagent_orch.config import Settings

        return Settings.from_env(redis_url=self.redis_url, namespace=self.namespace, **overrides)

    def fleet_settings(self, **overrides: object) -> Settings:
        """The settings of a fleet.

        Raises:
            ConfigurationError: there is no URL, or a setting does not fit.
        """
        from pyagent_orch.exceptions import ConfigurationError

        settings = self.settings(**overrides)
        if settings.redis_url is None:
            raise ConfigurationError(
                URL_VARIABLE,
                "this command talks to a fleet and needs the URL of its Redis; set the variable "
                "or give --redis-url, such as redis://localhost:6379/0",
            )
        return settings

    def fleet(self) -> Orchestrator:
        """A client of the fleet; nothing is opened yet.

        Raises:
            ConfigurationError: there is no URL, or a setting does not fit.
        """
        settings = self.fleet_settings()
        from pyagent_orch.orchestrator import Orchestrator

        return Orchestrator(settings=settings)

    def embedded_settings(self, **overrides: object) -> Settings:
        """The settings of an embedded orchestrator, also where the environment names a fleet.

        Raises:
            ConfigurationError: a setting does not fit.
        """
        from pyagent_orch.config import Settings

        environ = {name: value for name, value in os.environ.items() if name != URL_VARIABLE}
        return Settings.from_env(environ, namespace=self.namespace, **overrides)


pass_installation = click.make_pass_decorator(Installation, ensure=True)


def _remember(context: click.Context, parameter: click.Parameter, value: object) -> None:
    # Only what is given: after the command it must not undo what stood before it.
    if value and parameter.name:
        setattr(context.ensure_object(Installation), parameter.name, value)
        if parameter.name == "verbose":
            from pyagent_orch.cli.logs import show_more

            show_more()


def global_options() -> list[click.Option]:
    """New options for one command: they may stand before a command's name or after it."""
    return [
        click.Option(
            ["--redis-url"],
            metavar="URL",
            callback=_remember,
            expose_value=False,
            help="The fleet's Redis; PYAGENT_ORCH_REDIS_URL otherwise, which keeps a password "
            "out of the list of processes.",
        ),
        click.Option(
            ["--namespace"],
            metavar="NAME",
            callback=_remember,
            expose_value=False,
            help="The installation on that Redis; PYAGENT_ORCH_NAMESPACE otherwise.",
        ),
        click.Option(
            ["-v", "--verbose"],
            is_flag=True,
            callback=_remember,
            expose_value=False,
            help="More logs, and tracebacks of errors; on stderr.",
        ),
    ]


class Command(click.Command):
    """A command that takes the global options as well.

    Args:
        section: the heading that it stands under in `pyagent-orch --help`.
    """

    def __init__(self, *args: Any, section: str = "Commands", **options: Any) -> None:
        super().__init__(*args, **options)
        self.section = section
        self._own = len(self.params)
        self.params += global_options()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first and the global ones apart."""
        own = [*self.params[: self._own], *self.get_params(ctx)[len(self.params) :]]
        for title, params in (("Options", own), ("Global options", self.params[self._own :])):
            options = [param for param in params if isinstance(param, click.Option)]
            records = [record for option in options if (record := option.get_help_record(ctx))]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        from pyagent_orch.cli.manual import write_page

        write_page(ctx, formatter)


class Group(click.Group):
    """Commands about one thing, which stand in the help as one.

    Args:
        section: the heading that it stands under in `pyagent-orch --help`.
    """

    def __init__(self, *args: Any, section: str = "Commands", **options: Any) -> None:
        super().__init__(*args, **options)
        self.section = section
        self.params += global_options()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List its commands, each with the whole of its first sentence."""
        found = [self.get_command(ctx, name) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(one.name or "", summary(one)) for one in found if one])


def summary(command: click.Command) -> str:
    """What a command does, in one sentence, for lists; click would cut it off."""
    return command.get_short_help_str(limit=200)


def command(name: str, section: str, **options: Any) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command; it gets the `Installation` first and may return an `Exit`."""

    def decorate(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command, section=section, **options)
        return made(pass_installation(function))

    return decorate


def json_option(function: F) -> F:
    """Add `--json`."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON for machines, and nothing else on stdout.",
    )(function)


def seconds(text: str) -> float:
    """The type of a duration: seconds, or a number with a unit.

    Raises:
        BadParameter: it is none.
    """
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def item(text: str) -> tuple[str, JSONValue]:
    """The type of one item of metadata: `KEY=TEXT` or `KEY:=JSON`.

    Raises:
        BadParameter: it is neither.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.rstrip(":"):
        raise click.BadParameter(f"{text!r} is not KEY=TEXT or KEY:=JSON")
    if not key.endswith(":"):
        return key, value
    try:
        return key[:-1], parse_json(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} of {key[:-1]!r} is not JSON: {error}") from None


def metadata_option(help_text: str) -> Callable[[F], F]:
    """Add `--metadata`, which may be given several times; see `collected`."""
    return click.option(
        "-m",
        "--metadata",
        type=item,
        multiple=True,
        metavar="KEY=VALUE",
        help=f"{help_text} KEY=TEXT, or KEY:=JSON for numbers and the like; may be repeated.",
    )


def collected(items: Iterable[tuple[str, JSONValue]]) -> Mapping[str, JSONValue] | None:
    """The items of `--metadata`; None without any."""
    return dict(items) or None


def parse_json(text: str) -> JSONValue:
    """Read JSON.

    Raises:
        ValueError: it is none, or deeper than Python can read.
    """
    try:
        value: JSONValue = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def modules(given: Iterable[str]) -> tuple[str, ...] | None:
    """The modules of `--agents`, also those in one argument with commas; None without any."""
    names = (name.strip() for text in given for name in text.split(","))
    return tuple(name for name in names if name) or None
