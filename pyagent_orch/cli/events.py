"""The command that prints the event stream, and may follow it.

Command line, over the facade.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pyagent_orch.cli.arguments import Installation, command, json_option
from pyagent_orch.cli.show import note, preview, print_json_line, print_spans
from pyagent_orch.cli.times import moment, parse_duration
from pyagent_orch.exceptions import OrchestratorConnectionError

if TYPE_CHECKING:
    from pyagent_orch.models.events import Event
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator import Orchestrator

_EVENT_ID = re.compile(r"\d{1,15}-\d{1,15}|\d{12,15}")
"""Milliseconds and a number; without the number it takes as many digits as no duration has."""
_LONGEST_PAUSE = 5.0
_WORDS_OF_STATES = {
    "completed": "green",
    "online": "green",
    "failed": "red",
    "lost": "red",
    "retried": "magenta",
    "recovered": "magenta",
    "started": "cyan",
}
"""Maps an event's participle to its colour."""


def _position(text: str) -> str:
    """The type of `--since`: an event's id, or how long ago; gives an event's id."""
    if _EVENT_ID.fullmatch(text):
        return text
    try:
        seconds = parse_duration(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither an event's id nor a duration such as 10m"
        ) from None
    return f"{max(0, int((time.time() - seconds) * 1000))}-0"


@command("events", "Fleet")
@click.option("-f", "--follow", is_flag=True, help="Go on with new ones until Ctrl-C.")
@click.option(
    "--since",
    type=_position,
    metavar="ID|DURATION",
    help="Only what came after this event, or in the last 30s, 10m, 2h, 1d. "
    "Otherwise all that is kept, or with --follow from now on.",
)
@click.option(
    "--type",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only these types, such as 'task.*'; may be repeated.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
@json_option
def events(
    installation: Installation,
    *,
    follow: bool,
    since: str | None,
    patterns: tuple[str, ...],
    limit: int | None,
    as_json: bool,
) -> None:
    """Print what happened, and follow what happens.

    Oldest first; with --json one document a line.
    """
    with installation.fleet() as orchestrator:
        stream = _followed(orchestrator, since) if follow else orchestrator.events(since)
        count = 0
        for event in stream:
            if patterns and not any(event.matches(pattern) for pattern in patterns):
                continue
            if as_json:
                print_json_line(_document(event))
            else:
                print_spans(_spans(event))
            count += 1
            if count == limit:
                return


def _followed(orchestrator: Orchestrator, since: str | None) -> Iterator[Event]:
    """Follow the stream, and go on behind the last event seen when Redis comes back."""
    # What is wrong from the start is an error; what breaks later mends itself.
    orchestrator.start()
    pause = 0.0
    while True:
        try:
            for event in orchestrator.events(since, follow=True):
                since, pause = event.id, 0.0
                yield event
        except OrchestratorConnectionError as error:
            if not pause:
                note(f"{error} Trying on.")
            pause = min(_LONGEST_PAUSE, pause * 2 or 0.25)
            time.sleep(pause)
        else:
            return


def _document(event: Event) -> dict[str, JSONValue]:
    return {
        "id": event.id,
        "at": event.at.isoformat(),
        "type": event.type,
        "subject": event.subject,
        "data": event.data,
    }


def _spans(event: Event) -> list[tuple[str, str]]:
    style = _WORDS_OF_STATES.get(event.type.rpartition(".")[2], "")
    return [
        (f"{moment(event.at)}  ", "bright_black"),
        (f"{event.type:<16}  ", style),
        (f"{event.subject}  " if event.subject else "", ""),
        (_details(event.data), "bright_black"),
    ]


def _details(data: JSONValue) -> str:
    if not isinstance(data, dict):
        return "" if data is None else preview(data)
    return " ".join(f"{name}={_detail(name, value)}" for name, value in data.items() if value != "")


def _detail(name: str, value: JSONValue) -> str:
    if name == "error" and isinstance(value, dict):
        # The traceback is for `show`.
        value = f"{value.get('type', '')}: {value.get('message', '')}"
    return preview(value)
