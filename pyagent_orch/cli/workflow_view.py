"""A workflow on the screen: its tasks as a tree, with states, times and tokens.

Command line. Knows live workflows, not where they come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from pyagent_orch.cli.show import PREVIEW, preview
from pyagent_orch.cli.task_view import as_document
from pyagent_orch.cli.times import duration
from pyagent_orch.escape import one_line
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.workflows import Workflow, WorkflowRecord

MARKS: Mapping[TaskStatus, str] = {
    TaskStatus.PENDING: "·",
    TaskStatus.RUNNING: "▶",
    TaskStatus.RETRYING: "↻",
    TaskStatus.COMPLETED: "✓",
    TaskStatus.FAILED: "✗",
    TaskStatus.CANCELLED: "⊘",
    TaskStatus.SKIPPED: "-",
}
BAR = 30
"""Columns of the bar of progress."""

Line = list[tuple[str, str]]
"""Parts of a line, each with its colour (empty for none)."""


def as_workflow_document(workflow: Workflow) -> dict[str, JSONValue]:
    """All that is recorded of a workflow, as JSON."""
    record = workflow.record
    assert record is not None
    return {
        "id": record.id,
        "name": record.name,
        "status": record.status.value,
        "error": record.error,
        "output": workflow.output,
        "progress": round(workflow.progress, 4),
        "metadata": dict(record.metadata),
        "usage": workflow.usage.model_dump(mode="json"),
        "created_at": record.created_at.isoformat() if record.created_at else None,
        "started_at": record.started_at.isoformat() if record.started_at else None,
        "completed_at": record.completed_at.isoformat() if record.completed_at else None,
        "tasks": [as_document(task.record) for task in workflow.tasks if task.record],
    }


def tree_order(workflow: Workflow) -> list[tuple[str, int]]:
    """The ids of the tasks and how deep each stands: below what it waits for, or spawned it."""
    known = {task.id for task in workflow.tasks if task.record is not None}
    graph = workflow.graph()
    depth: dict[str, int] = {}
    for task_id in graph.order():
        depth[task_id] = 1 + max((depth[one] for one in graph.parents[task_id]), default=-1)
    turns: dict[str, list[str]] = {}
    for task_id in graph.ids:
        if parent_of(task_id) in known:
            turns.setdefault(parent_of(task_id), []).append(task_id)
    found: list[tuple[str, int]] = []
    agenda = [
        (task_id, depth[task_id])
        for task_id in reversed(graph.order())
        if task_id in known and parent_of(task_id) not in known
    ]
    while agenda:
        task_id, level = agenda.pop()
        found.append((task_id, level))
        agenda += [(turn, level + 1) for turn in reversed(turns.get(task_id, ()))]
    return found


def tree_lines(workflow: Workflow, now: datetime, styles: Mapping[str, str]) -> dict[str, Line]:
    """Maps the ids of the tasks, in the order of the tree, to their lines."""
    records = {task.id: task.record for task in workflow.tasks if task.record is not None}
    return {
        task_id: _task_line(records[task_id], level, now, styles)
        for task_id, level in tree_order(workflow)
    }


def parent_of(task_id: str) -> str:
    """The task that a turn was spawned by: turns are named `<task>.<step>.<number>`."""
    parent, _, place = task_id.rpartition(".")
    parent, _, step = parent.rpartition(".")
    return parent if place.isdigit() and step.isdigit() else ""


def _task_line(record: TaskRecord, level: int, now: datetime, styles: Mapping[str, str]) -> Line:
    style = styles[record.status.value]
    line: Line = [
        ("  " * min(level, 12), ""),
        (f"{MARKS[record.status]} ", style),
        (preview(record.name, PREVIEW // 2), ""),
        (f"  {record.status.value}", style),
    ]
    if record.started_at is not None:
        took = ((record.completed_at or now) - record.started_at).total_seconds()
        line.append((f"  {duration(took)}", "bright_black"))
    if record.attempts > 1:
        line.append((f"  {record.attempts} attempts", "magenta"))
    if record.usage is not None and record.usage.requests:
        line.append((f"  {tokens(record.usage)}", "bright_black"))
    if record.error is not None and record.status is not TaskStatus.COMPLETED:
        line.append((f"  {preview(str(record.error), PREVIEW // 2)}", "red"))
    return line


def head_line(workflow: Workflow, record: WorkflowRecord, styles: Mapping[str, str]) -> Line:
    """Name, state, and how far it is."""
    share = workflow.progress
    filled = round(share * BAR)
    return [
        (one_line(record.name), "bold"),
        (f"  {record.status.value}", styles.get(record.status.value, "")),
        (f"  {'━' * filled}", "green"),
        ("─" * (BAR - filled), "bright_black"),
        (f" {share:.0%}", ""),
    ]


def count_line(workflow: Workflow, now: datetime) -> Line:
    """How many tasks are in each state, how long it takes, and what it cost."""
    counts = Counter(task.record.status for task in workflow.tasks if task.record is not None)
    parts = [f"{count} {status.value}" for status in TaskStatus if (count := counts[status])]
    record = workflow.record
    if record is not None and record.started_at is not None:
        took = ((record.completed_at or now) - record.started_at).total_seconds()
        parts.append(duration(took))
    usage = workflow.usage
    if usage.requests:
        parts.append(tokens(usage))
    return [(", ".join(parts), "bright_black")]


def tokens(usage: Usage) -> str:
    """Tokens and money in a few words."""
    text = f"{usage.total_tokens:,} tokens"
    return text if not usage.cost_usd else f"{text}, ${usage.cost_usd:.4f}"


def fitted(lines: Sequence[Line], limit: int) -> list[Line]:
    """The lines that fit on a screen; those of finished tasks give way first."""
    if len(lines) <= limit:
        return list(lines)
    lively = [line for line in lines if line[1][0].strip() in "▶↻✗"]
    kept = (lively or list(lines))[: limit - 1]
    return [*kept, [(f"  ... {len(lines) - len(kept)} more tasks ...", "bright_black")]]
