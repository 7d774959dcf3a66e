"""The options of scheduled jobs: when they run, how their runs go, and of what task.

Command line. Knows click and the words of `Orchestrator.schedule`, no job.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import click

from pyagent_orch.cli.arguments import metadata_option, seconds
from pyagent_orch.cli.completion import queues


def times_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say when."""
    for option in (
        click.option(
            "--timezone",
            metavar="ZONE",
            default="UTC",
            show_default=True,
            help="In which --cron is meant, such as Europe/Berlin.",
        ),
        click.option("--at", metavar="MOMENT", help="Once, at a moment in ISO 8601."),
        click.option("--every", type=seconds, metavar="DURATION", help="Such as 30s, 10m, 2h."),
        click.option("--cron", metavar="EXPRESSION", help="Such as '0 9 * * MON' or @daily."),
    ):
        function = option(function)
    return function


def run_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how its runs go, and when it ends."""
    for option in (
        click.option(
            "--jitter", type=seconds, metavar="DURATION",
            help="Each run starts up to so much later.",
        ),
        click.option("--end-at", metavar="MOMENT", help="No run after this, in ISO 8601."),
        click.option(
            "--max-runs", type=click.IntRange(min=1), metavar="N", help="Ends after N runs."
        ),
        click.option(
            "--overlap", type=click.Choice(["allow", "skip", "queue"]), default="allow",
            show_default=True, help="When the last run is not finished.",
        ),
        click.option(
            "--catch-up-limit", type=click.IntRange(min=1), metavar="N",
            help="With --missed catch_up: N runs at the most, the latest.",
        ),
        click.option(
            "--missed", type=click.Choice(["coalesce", "skip", "catch_up"]), default="coalesce",
            show_default=True, help="What becomes of due times at which no beat ran.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def task_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an agent's task; in a file each task has its own."""
    for option in (
        metadata_option("With AGENT: stays with each run."),
        click.option("--queue", metavar="NAME", shell_complete=queues, help="With AGENT."),
        click.option(
            "--retry", type=click.IntRange(1, 1000), metavar="N",
            help="With AGENT: attempts of each run.",
        ),
        click.option(
            "--timeout", type=seconds, metavar="DURATION",
            help="With AGENT: how long an attempt may take.",
        ),
        click.option(
            "--priority", type=click.IntRange(1, 10), metavar="N",
            help="With AGENT: 1 is the highest.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def times_of(options: dict[str, Any]) -> dict[str, Any]:
    """When, as a job takes it."""
    return {
        "run_at": moment("--at", options["at"]),
        "interval_seconds": options["every"],
        "cron": options["cron"],
        "timezone": options["timezone"],
    }


def moment(option: str, text: str | None) -> datetime | None:
    """A moment in ISO 8601; None stays None.

    Raises:
        UsageError: it is none; names the option.
    """
    try:
        return datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        raise click.UsageError(f"{option} {text!r} is no moment such as 2026-01-31T08:30") from None
