"""The commands about scheduled jobs, and beat, which fires them.

Command line, over the facade. `beat` does not come back: the process becomes Celery's beat.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pyagent_orch.cli.arguments import (
    Command,
    Group,
    Installation,
    command,
    json_option,
    parse_json,
    pass_installation,
    seconds,
)
from pyagent_orch.cli.celery_program import become, log_format_option, quiet_option
from pyagent_orch.cli.completion import agents, jobs
from pyagent_orch.cli.times import duration

if TYPE_CHECKING:
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.schedules.jobs import ScheduledJob

SECTION = "Schedules"


schedules = Group(
    "schedules",
    section=SECTION,
    help="List, add and change scheduled jobs; `beat` fires them.",
)


def _subcommand(name: str) -> Callable[[Callable[..., Any]], Command]:
    def decorate(function: Callable[..., Any]) -> Command:
        made = click.command(name, cls=Command, section=SECTION)(pass_installation(function))
        schedules.add_command(made)
        return made

    return decorate


@command("beat", SECTION)
@click.option(
    "-l",
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    help="What it logs.",
)
@log_format_option
@quiet_option
@click.argument("celery_options", metavar="[-- CELERY OPTIONS]", nargs=-1, type=click.UNPROCESSED)
def beat(
    installation: Installation,
    *,
    log_level: str,
    log_format: str | None,
    quiet: bool,
    celery_options: tuple[str, ...],
) -> NoReturn:
    """Fire the scheduled jobs; Ctrl-C ends it.

    The same as `celery -A workers.celery_app beat`. Several may run at once, and should: each
    run is started once, and the others go on when one dies.
    """
    # It fires jobs and runs no agents.
    settings = installation.fleet_settings(log_format=log_format)
    settings = settings.model_copy(update={"agents": ()})
    become(settings, "beat", ["--loglevel", log_level.upper(), *celery_options], quiet=quiet)


@_subcommand("list")
@json_option
def list_jobs(installation: Installation, *, as_json: bool) -> None:
    """List the jobs; the one that is due next comes first."""
    from pyagent_orch.cli.show import Column, preview, print_json, print_table

    with installation.fleet() as orchestrator:
        jobs = orchestrator.jobs()
        documents = [_document(job) for job in jobs]
    if as_json:
        print_json(list(documents))
        return
    columns = (
        Column("ID"),
        Column("NAME", flexible=True),
        Column("SCHEDULE", flexible=True),
        Column("NEXT RUN"),
        Column("RUNS", right=True),
    )
    rows = [
        [
            str(one["id"]),
            preview(str(one["name"])),
            str(one["schedule"]),
            str(one["next_run"] or one["state"]),
            str(one["runs"]),
        ]
        for one in documents
    ]
    print_table(columns, rows, "No scheduled jobs.")


@_subcommand("show")
@click.argument("job_id", metavar="ID", shell_complete=jobs)
@json_option
def show_job(installation: Installation, *, job_id: str, as_json: bool) -> None:
    """Print all about a job, its next runs and its latest ones."""
    from pyagent_orch.cli.show import print_json, print_text

    with installation.fleet() as orchestrator:
        job = orchestrator.get_job(job_id)
        found = _document(job)
        found["runs_to_come"] = [at.isoformat() for at in job.preview(3)] if job.enabled else []
        found["latest_runs"] = [
            {"id": run.id, "status": run.status.value}
            for run in orchestrator.job_runs(job_id, limit=5)
        ]
    if as_json:
        print_json(dict(found))
        return
    for name, value in found.items():
        if isinstance(value, list):
            print_text(f"{name.replace('_', ' ')}:{'' if value else ' none'}")
            for one in value:
                text = f"{one['id']}  {one['status']}" if isinstance(one, dict) else str(one)
                print_text(f"  {text}")
        elif value not in {None, ""}:
            print_text(f"{name.replace('_', ' ')}: {value}")


def _times(function: Callable[..., Any]) -> Callable[..., Any]:
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


@_subcommand("add")
@click.argument("agent", shell_complete=agents)
@click.argument("text", metavar="[INPUT]", required=False)
@_times
@click.option("--json-input", metavar="JSON", help="The input as JSON, in place of text.")
@click.option("--id", "job_id", metavar="ID", help="A job of this ID is changed.")
@click.option("--name", metavar="NAME", help="For people.")
@click.option(
    "--missed", type=click.Choice(["coalesce", "skip", "catch_up"]), default="coalesce",
    show_default=True, help="What becomes of due times at which no beat ran.",
)  # fmt: skip
@click.option(
    "--overlap", type=click.Choice(["allow", "skip", "queue"]), default="allow",
    show_default=True, help="When the last run is not finished.",
)  # fmt: skip
@click.option("--max-runs", type=click.IntRange(min=1), metavar="N", help="Ends after N runs.")
@json_option
def add_job(
    installation: Installation,
    *,
    agent: str,
    text: str | None,
    json_input: str | None,
    job_id: str | None,
    name: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Schedule a registered AGENT: with --cron, --every or --at."""
    given = _times_of(options)
    if text is not None and json_input is not None:
        raise click.UsageError("Give either INPUT or --json-input, not both.")
    try:
        value: JSONValue = parse_json(json_input) if json_input is not None else text
    except ValueError as error:
        raise click.UsageError(f"--json-input is not JSON: {error}") from None
    with installation.fleet() as orchestrator:
        job = orchestrator.schedule(
            agent=agent,
            input=value,
            id=job_id,
            **given,
            name=name or agent,
            missed=options["missed"],
            overlap=options["overlap"],
            max_runs=options["max_runs"],
        )
        found = _document(job)
    _print(found, as_json=as_json)


@_subcommand("pause")
@click.argument("job_id", metavar="ID", shell_complete=jobs)
@json_option
def pause_job(installation: Installation, *, job_id: str, as_json: bool) -> None:
    """Let a job fire no more until it is resumed."""
    with installation.fleet() as orchestrator:
        found = _document(orchestrator.pause(job_id))
    _print(found, as_json=as_json)


@_subcommand("resume")
@click.argument("job_id", metavar="ID", shell_complete=jobs)
@json_option
def resume_job(installation: Installation, *, job_id: str, as_json: bool) -> None:
    """Let a paused job fire again, from its next due time on."""
    with installation.fleet() as orchestrator:
        found = _document(orchestrator.resume(job_id))
    _print(found, as_json=as_json)


@_subcommand("run")
@click.argument("job_id", metavar="ID", shell_complete=jobs)
@json_option
def run_job(installation: Installation, *, job_id: str, as_json: bool) -> None:
    """Run a job once, now; its schedule stays as it is. Prints the run's ID."""
    from pyagent_orch.cli.show import print_json, print_text

    with installation.fleet() as orchestrator:
        run = orchestrator.run_now(job_id).id
    if as_json:
        print_json({"id": job_id, "run": run})
    else:
        print_text(run)


@_subcommand("remove")
@click.argument("job_id", metavar="ID", shell_complete=jobs)
@json_option
def remove_job(installation: Installation, *, job_id: str, as_json: bool) -> None:
    """Remove a job; its runs go on."""
    from pyagent_orch.cli.show import print_json, print_text
    from pyagent_orch.exceptions import JobNotFoundError

    with installation.fleet() as orchestrator:
        if not orchestrator.unschedule(job_id):
            raise JobNotFoundError(job_id)
    if as_json:
        print_json({"id": job_id, "removed": True})
    else:
        print_text(f"{job_id} removed")


@_subcommand("preview")
@_times
@click.option(
    "-n", "--count", type=click.IntRange(1, 1000), default=5, show_default=True, metavar="N",
    help="How many.",
)  # fmt: skip
@click.argument("job_id", metavar="[ID]", required=False, shell_complete=jobs)
@json_option
def preview_job(
    installation: Installation, *, job_id: str | None, count: int, as_json: bool, **options: Any
) -> None:
    """Print the next due times of a job, or of what --cron, --every or --at say."""
    from pyagent_orch.cli.show import print_json, print_text
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.schedules.jobs import ScheduledJob

    if job_id is not None:
        with installation.fleet() as orchestrator:
            found = orchestrator.get_job(job_id).preview(count)
    else:
        found = ScheduledJob(Task("preview"), **_times_of(options)).preview(count)
    if as_json:
        print_json([at.isoformat() for at in found])
        return
    now = datetime.now(UTC)
    for at in found:
        print_text(f"{at.isoformat()}  in {duration((at - now).total_seconds())}")


def _times_of(options: dict[str, Any]) -> dict[str, Any]:
    """When, as a job takes it."""
    at = options["at"]
    try:
        moment = datetime.fromisoformat(at) if at is not None else None
    except ValueError:
        raise click.UsageError(f"--at {at!r} is no moment such as 2026-01-31T08:30") from None
    return {
        "run_at": moment,
        "interval_seconds": options["every"],
        "cron": options["cron"],
        "timezone": options["timezone"],
    }


def _document(job: ScheduledJob) -> dict[str, Any]:
    record = job.record
    assert record is not None
    next_run, last_run = job.next_run, job.last_run
    return {
        "id": job.id,
        "name": job.name,
        "schedule": job.schedule,
        "timezone": job.timezone,
        "state": "ended" if record.ended_at else "enabled" if record.enabled else "paused",
        "next_run": next_run.isoformat() if next_run else None,
        "last_run": last_run.isoformat() if last_run else None,
        "runs": record.runs,
        "missed": job.missed,
        "overlap": job.overlap,
        "max_runs": job.max_runs,
        "problem": record.problem or None,
    }


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    from pyagent_orch.cli.show import print_json, print_text

    if as_json:
        print_json(found)
    else:
        state = f"next run {found['next_run']}" if found["next_run"] else found["state"]
        print_text(f"{found['id']}  {found['name']}  {found['schedule']}  {state}")
