"""The command that shows what a fleet does at this moment.

Command line, over the facade. On a terminal it draws itself anew until q or Ctrl-C; its
readings cost the same whatever is stored.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pyagent_orch.cli.arguments import Installation, command, json_option, seconds

if TYPE_CHECKING:
    from rich.console import Console

    from pyagent_orch.cli.top_view import Reading
    from pyagent_orch.orchestrator import Orchestrator

_Pressed = Callable[[float], bool]
"""Waits for so many seconds; True as soon as somebody wants to leave."""
INTERVAL = "2s"
SHORTEST = 0.1
"""Seconds."""


@command("top", "Fleet")
@click.option("--once", is_flag=True, help="Print one picture and end.")
@click.option(
    "-n", "--interval", type=seconds, default=INTERVAL, show_default=True, metavar="DURATION",
    help="How often it looks, and over which time the rates are.",
)  # fmt: skip
@click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, metavar="N",
    help="How many running tasks to show, those that run for the longest.",
)  # fmt: skip
@json_option
def top(
    installation: Installation, *, once: bool, interval: float, limit: int, as_json: bool
) -> None:
    """Show what the fleet does now: tasks, rates, queues, workers, what runs.

    On a terminal it goes on until q or Ctrl-C; elsewhere, with --once and with --json it
    prints one picture, of which the rates are those of one interval.
    """
    from pyagent_orch.cli.show import console, print_json, print_spans
    from pyagent_orch.cli.top_view import as_top_document, top_lines

    interval = max(SHORTEST, interval)
    with installation.fleet() as orchestrator:
        before = _read(orchestrator, limit)
        screen = None if once or as_json else console(sys.stdout)
        if screen is not None:
            _live(orchestrator, screen, before, interval, limit)
            return
        time.sleep(interval)
        now = _read(orchestrator, limit)
        if as_json:
            print_json(as_top_document(before, now))
            return
        for line in top_lines(before, now):
            print_spans(line)


def _read(orchestrator: Orchestrator, limit: int) -> Reading:
    from pyagent_orch.cli.top_view import Reading

    return Reading(time.monotonic(), orchestrator.measure(), orchestrator.activity(limit))


def _live(
    orchestrator: Orchestrator, screen: Console, before: Reading, interval: float, limit: int
) -> None:
    """Draw until q or Ctrl-C; Redis may be away for a while."""
    from rich.live import Live
    from rich.text import Text

    from pyagent_orch.cli.top_view import top_lines
    from pyagent_orch.exceptions import OrchestratorConnectionError

    def drawn(now: Reading, problem: str = "") -> Text:
        size = shutil.get_terminal_size()
        head = f"pyagent-orch top   namespace {orchestrator.settings.namespace}   "
        head += f"{datetime.now().astimezone():%H:%M:%S}   q ends"
        lines = [[(head, "bold reverse")], [(problem, "bold red")]]
        lines += top_lines(before, now, size.columns)
        text = Text(no_wrap=True, overflow="ellipsis")
        for line in lines[: size.lines - 1]:
            text.append_text(Text.assemble(*line, "\n"))
        return text

    now = before
    with (
        _keys() as key_pressed,
        Live(drawn(now), console=screen, screen=True, auto_refresh=False) as live,
    ):
        while not key_pressed(interval):
            try:
                before, now = now, _read(orchestrator, limit)
                live.update(drawn(now), refresh=True)
            except OrchestratorConnectionError as error:
                live.update(drawn(now, str(error)), refresh=True)


@contextmanager
def _keys() -> Iterator[_Pressed]:
    """Has keys come one by one, without being shown; as they were before afterwards."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield _wait_only
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield _wait_for_q
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _wait_only(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _wait_for_q(seconds: float) -> bool:
    """Wait for so long; True as soon as somebody wants to leave."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([sys.stdin], [], [], left)
        # Nothing to read at an end of the input: the terminal has gone.
        if ready and os.read(sys.stdin.fileno(), 1) in {b"q", b"Q", b""}:
            return True
    return False
