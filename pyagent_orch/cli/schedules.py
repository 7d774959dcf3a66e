"""The commands about scheduled jobs, and beat, which fires them.

Command line, over the facade. `beat` does not come back: the process becomes Celery's beat.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pyagent_orch.cli.arguments import (
    Command,
    Group,
    Installation,
    collected,
    command,
    json_option,
    parse_json,
    pass_installation,
)
from pyagent_orch.cli.celery_program import become, log_format_option, quiet_option
from pyagent_orch.cli.completion import agents, jobs
from pyagent_orch.cli.job_options import (
    moment,
    run_options,
    task_options,
    times_of,
    times_options,
)
from pyagent_orch.cli.times import duration

if TYPE_CHECKING:
    from pyagent_orch.models.values import JSONValue

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
    from pyagent_orch.cli.job_view import as_job_document
    from pyagent_orch.cli.show import Column, preview, print_json, print_table

    with installation.fleet() as orchestrator:
        jobs = orchestrator.jobs()
        documents = [as_job_document(job) for job in jobs]
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
    from pyagent_orch.cli.job_view import as_job_document
    from pyagent_orch.cli.show import print_json, print_text

    with installation.fleet() as orchestrator:
        job = orchestrator.get_job(job_id)
        found = as_job_document(job)
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


@_subcommand("add")
@click.argument("agent", metavar="[AGENT]", required=False, shell_complete=agents)
@click.argument("text", metavar="[INPUT]", required=False)
@click.option(
    "--file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A workflow in YAML, as `run` takes it, in place of AGENT.",
)  # fmt: skip
@times_options
@click.option("--json-input", metavar="JSON", help="The input as JSON, in place of text.")
@click.option("--id", "job_id", metavar="ID", help="A job of this ID is changed.")
@click.option("--name", metavar="NAME", help="For people.")
@run_options
@task_options
@json_option
def add_job(
    installation: Installation,
    *,
    agent: str | None,
    text: str | None,
    file: Path | None,
    json_input: str | None,
    job_id: str | None,
    name: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Schedule a registered AGENT, or a workflow's FILE: with --cron, --every or --at."""
    from pyagent_orch.cli.job_view import as_job_document, print_job

    work = _work_of(agent, text, file, json_input)
    given = {**times_of(options), **work, "id": job_id, "name": name or agent}
    given["end_at"] = moment("--end-at", options["end_at"])
    given["metadata"] = collected(options["metadata"])
    for option in ("missed", "overlap", "max_runs", "jitter", "catch_up_limit"):
        given[option] = options[option]
    for option in ("priority", "timeout", "retry", "queue"):
        given[option] = options[option]
    with installation.fleet() as orchestrator:
        # What is not given is as `schedule` has it.
        job = orchestrator.schedule(
            **{option: value for option, value in given.items() if value is not None}
        )
        found = as_job_document(job)
    print_job(found, as_json=as_json)


def _work_of(
    agent: str | None, text: str | None, file: Path | None, json_input: str | None
) -> dict[str, Any]:
    """What is to run, as `schedule` takes it."""
    if (agent is None) == (file is None):
        raise click.UsageError("Give either AGENT or --file, a workflow in YAML.")
    if file is not None:
        if json_input is not None:
            raise click.UsageError("--json-input goes with AGENT; FILE has the inputs of its tasks")
        from pyagent_orch.workflows.document import load_workflow

        return {"workflow": load_workflow(file)}
    if text is not None and json_input is not None:
        raise click.UsageError("Give either INPUT or --json-input, not both.")
    try:
        value: JSONValue = parse_json(json_input) if json_input is not None else text
    except ValueError as error:
        raise click.UsageError(f"--json-input is not JSON: {error}") from None
    return {"agent": agent, "input": value}


@_subcommand("pause")
@click.argument("job_id", metavar="ID", shell_complete=jobs)
@json_option
def pause_job(installation: Installation, *, job_id: str, as_json: bool) -> None:
    """Let a job fire no more until it is resumed."""
    from pyagent_orch.cli.job_view import as_job_document, print_job

    with installation.fleet() as orchestrator:
        found = as_job_document(orchestrator.pause(job_id))
    print_job(found, as_json=as_json)


@_subcommand("resume")
@click.argument("job_id", metavar="ID", shell_complete=jobs)
@json_option
def resume_job(installation: Installation, *, job_id: str, as_json: bool) -> None:
    """Let a paused job fire again, from its next due time on."""
    from pyagent_orch.cli.job_view import as_job_document, print_job

    with installation.fleet() as orchestrator:
        found = as_job_document(orchestrator.resume(job_id))
    print_job(found, as_json=as_json)


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
@times_options
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
        found = ScheduledJob(Task("preview"), **times_of(options)).preview(count)
    if as_json:
        print_json([at.isoformat() for at in found])
        return
    now = datetime.now(UTC)
    for at in found:
        print_text(f"{at.isoformat()}  in {duration((at - now).total_seconds())}")
