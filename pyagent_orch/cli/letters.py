"""The commands about dead letters: list what failed for good, and have it tried again.

Command line, over the facade.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

import click

from pyagent_orch.cli.arguments import Installation, command, json_option
from pyagent_orch.cli.completion import task_names, tasks
from pyagent_orch.cli.exits import Exit
from pyagent_orch.cli.tasks import SECTION, act_on_each, record_of
from pyagent_orch.cli.times import age, parse_duration
from pyagent_orch.exceptions import IllegalMoveError
from pyagent_orch.states import RETRIABLE_STATES

if TYPE_CHECKING:
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.models.values import JSONValue

F = TypeVar("F", bound=Callable[..., Any])


class _Filters(TypedDict):
    """Which dead letters are meant; None: all."""

    name: str | None
    since: datetime | timedelta | None
    error: str | None
    limit: int | None


def _since(text: str) -> datetime | timedelta:
    """The type of `--since`: how long ago, or a moment in ISO 8601, UTC if it does not say."""
    try:
        return timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a duration such as 2h nor a moment such as 2026-01-31T08:30Z"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _filters(limit: int | None) -> Callable[[F], F]:
    """Add the options that choose dead letters."""
    options = (
        click.option("--name", shell_complete=task_names, help="Only tasks of this name."),
        click.option(
            "--since",
            type=_since,
            metavar="DURATION|MOMENT",
            help="Only what failed in the last 30s, 10m, 2h, 1d, or since a moment in ISO 8601.",
        ),
        click.option("--error", metavar="TYPE", help="Only what failed of this type of error."),
        click.option(
            "--limit",
            type=click.IntRange(min=1),
            default=limit,
            show_default=limit is not None,
            metavar="N",
            help="How many at the most, those that failed last.",
        ),
    )

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


@command("dead", SECTION)
@_filters(20)
@json_option
def dead(installation: Installation, *, as_json: bool, **filters: Unpack[_Filters]) -> None:
    """List the tasks that failed for good, with their reasons.

    Those that failed last come first. `retry --failed` takes the same filters.
    """
    with installation.fleet() as orchestrator:
        records = [record_of(task) for task in orchestrator.dead_letters(**filters)]
    from pyagent_orch.cli.show import Column, print_json, print_table
    from pyagent_orch.cli.task_view import as_document

    if as_json:
        print_json([as_document(record) for record in records])
        return
    columns = (
        Column("ID"),
        Column("NAME", flexible=True),
        Column("FAILED", right=True),
        Column("ATTEMPTS", right=True),
        Column("REASON", flexible=True),
    )
    now = datetime.now(UTC)
    print_table(columns, [_row(record, now) for record in records], "No dead letters.")


def _row(record: TaskRecord, now: datetime) -> list[str]:
    from pyagent_orch.cli.show import PREVIEW, preview

    return [
        record.id,
        preview(record.name, PREVIEW // 2),
        f"{age(record.completed_at, now)} ago" if record.completed_at else "",
        str(record.attempts),
        preview(str(record.error or "")),
    ]


@command("retry", SECTION)
@click.argument("task_ids", metavar="[ID...]", nargs=-1, shell_complete=tasks)
@click.option("--failed", is_flag=True, help="All dead letters, or those that the filters name.")
@_filters(None)
@click.option("--dry-run", is_flag=True, help="Only show which tasks would be retried.")
@json_option
def retry(
    installation: Installation,
    *,
    task_ids: Sequence[str],
    failed: bool,
    dry_run: bool,
    as_json: bool,
    **filters: Unpack[_Filters],
) -> Exit:
    """Try tasks again: those given, or with --failed what failed for good.

    By its ID also a task that was cancelled or skipped. A task of a workflow goes on in it,
    with what was skipped because of it.
    """
    if failed and task_ids:
        raise click.UsageError("Give either IDs or --failed, not both.")
    if not failed and not task_ids:
        raise click.UsageError("Give the ID of a task, or --failed.")
    if not failed and any(value is not None for value in filters.values()):
        raise click.UsageError("--name, --since, --error and --limit go with --failed.")
    if failed:
        return _retry_failed(installation, filters, dry_run=dry_run, as_json=as_json)
    with installation.fleet() as orchestrator:

        def retry_one(task_id: str) -> tuple[str, bool]:
            if not dry_run:
                return record_of(orchestrator.retry(task_id)).status.value, True
            status = orchestrator.status(task_id)
            if status not in RETRIABLE_STATES:
                raise IllegalMoveError(task_id, status.value, "retry")
            return status.value, False

        code = act_on_each(task_ids, retry_one, "would be retried", as_json=as_json)
    # That nothing was done is what a dry run is for.
    return Exit.OK if dry_run and code is Exit.FAILED else code


def _retry_failed(
    installation: Installation, filters: _Filters, *, dry_run: bool, as_json: bool
) -> Exit:
    with installation.fleet() as orchestrator:
        act = orchestrator.dead_letters if dry_run else orchestrator.retry_failed
        tasks = act(**filters)
    from pyagent_orch.cli.show import STATUS_STYLES, note, print_json, print_spans

    if as_json:
        print_json([_document(task, done=not dry_run) for task in tasks])
        return Exit.OK
    for task in tasks:
        state = record_of(task).status.value
        print_spans([(f"{task.id}  ", ""), (state, STATUS_STYLES[state])])
    noun = "task" if len(tasks) == 1 else "tasks"
    note(f"{len(tasks)} {noun} {'would be ' if dry_run else ''}retried.")
    return Exit.OK


def _document(task: Task, *, done: bool) -> JSONValue:
    """The same object as for a task that was given by its id."""
    return {"id": task.id, "done": done, "status": record_of(task).status.value, "error": None}
