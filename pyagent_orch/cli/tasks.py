"""The commands about tasks that are there: status, show, list, cancel.

Command line, over the facade.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pyagent_orch.cli.arguments import (
    Installation,
    collected,
    command,
    json_option,
    metadata_option,
)
from pyagent_orch.cli.completion import task_names, tasks
from pyagent_orch.cli.exits import Exit
from pyagent_orch.exceptions import IllegalMoveError, NotFoundError, TaskNotFoundError
from pyagent_orch.states import TaskStatus

if TYPE_CHECKING:
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator import Orchestrator

SECTION = "Tasks"


@command("status", SECTION)
@click.argument("task_id", metavar="ID", shell_complete=tasks)
@json_option
def status(installation: Installation, *, task_id: str, as_json: bool) -> None:
    """Print the state of a task, in one word."""
    from pyagent_orch.cli.show import STATUS_STYLES, print_json, print_text

    with installation.fleet() as orchestrator:
        found = orchestrator.status(task_id).value
    if as_json:
        print_json({"id": task_id, "status": found})
    else:
        print_text(found, STATUS_STYLES[found])


@command("show", SECTION)
@click.argument("task_id", metavar="ID", shell_complete=tasks)
@json_option
def show(installation: Installation, *, task_id: str, as_json: bool) -> None:
    """Print all that is recorded of a task."""
    with installation.fleet() as orchestrator:
        record = record_of(orchestrator.get_task(task_id))
    from pyagent_orch.cli.show import print_json
    from pyagent_orch.cli.task_view import as_document, print_task

    if as_json:
        print_json(as_document(record))
    else:
        print_task(record, datetime.now(UTC))


@command("list", SECTION)
@click.option(
    "--status",
    "statuses",
    type=click.Choice([one.value for one in TaskStatus], case_sensitive=False),
    multiple=True,
    help="Only tasks in this state; may be repeated.",
)
@click.option("--name", shell_complete=task_names, help="Only tasks of this name.")
@metadata_option("Only tasks with this item.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="How many at the most.",
)
@click.option("--before", metavar="ID", help="Only tasks that come after this one: the next page.")
@json_option
def list_tasks(
    installation: Installation,
    *,
    statuses: Sequence[str],
    name: str | None,
    metadata: tuple[tuple[str, JSONValue], ...],
    limit: int,
    before: str | None,
    as_json: bool,
) -> None:
    """List tasks, those that changed last first."""
    with installation.fleet() as orchestrator:
        tasks = orchestrator.tasks(
            status=statuses or None, name=name, metadata=collected(metadata), limit=limit,
            before=before,
        )  # fmt: skip
    from pyagent_orch.cli.show import print_json, print_table
    from pyagent_orch.cli.task_view import COLUMNS, as_document, as_row

    records = [record_of(task) for task in tasks]
    if as_json:
        print_json([as_document(record) for record in records])
    else:
        now = datetime.now(UTC)
        print_table(COLUMNS, [as_row(record, now) for record in records], "No tasks.")


@command("cancel", SECTION)
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True, shell_complete=tasks)
@json_option
def cancel(installation: Installation, *, task_ids: Sequence[str], as_json: bool) -> Exit:
    """Cancel tasks and workflows that wait or run."""
    with installation.fleet() as orchestrator:

        def cancel_one(task_id: str) -> tuple[str, bool]:
            done = orchestrator.cancel(task_id)
            return ("cancelled" if done else _state(orchestrator, task_id)), done

        return act_on_each(task_ids, cancel_one, "was final already", as_json=as_json)


def act_on_each(
    task_ids: Sequence[str],
    act: Callable[[str], tuple[str, bool]],
    too_late: str,
    *,
    as_json: bool,
) -> Exit:
    """Do something to each task, and go on when one of them is refused.

    Args:
        task_ids: the tasks.
        act: returns the state that the task is in then, and whether anything was done.
        too_late: the note for a task to which nothing was done.
        as_json: one document at the end instead of a line for each.
    """
    from pyagent_orch.cli.show import STATUS_STYLES, print_error, print_json, print_spans

    code = Exit.OK
    results: list[JSONValue] = []
    for task_id in task_ids:
        try:
            state, done = act(task_id)
        except (NotFoundError, IllegalMoveError) as error:
            code = Exit.ERROR
            results.append({"id": task_id, "done": False, "status": None, "error": str(error)})
            print_error(str(error))
            continue
        results.append({"id": task_id, "done": done, "status": state, "error": None})
        if not done:
            code = max(code, Exit.FAILED)
        if not as_json:
            said = "" if done else f" ({too_late})"
            print_spans([(f"{task_id}  ", ""), (state, STATUS_STYLES[state]), (said, "")])
    if as_json:
        print_json(results)
    return code


def _state(orchestrator: Orchestrator, an_id: str) -> str:
    """The state of a task or a workflow."""
    try:
        return orchestrator.status(an_id).value
    except TaskNotFoundError:
        return orchestrator.get_workflow(an_id).status.value


def record_of(task: Task) -> TaskRecord:
    """The record of a live task, as the facade gave it out."""
    record = task.record
    assert record is not None, "the facade gives out live tasks only"
    return record
