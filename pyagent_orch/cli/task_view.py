"""A task on the screen: as a JSON object, as a row of a list, and in full.

Command line. Knows records, not where they come from.
"""

from __future__ import annotations

import json
from datetime import datetime
from textwrap import indent

from pyagent_orch.cli.show import (
    PREVIEW,
    STATUS_STYLES,
    Column,
    preview,
    print_spans,
    print_text,
    readable,
)
from pyagent_orch.cli.times import age, duration, moment
from pyagent_orch.escape import escape
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus

COLUMNS = (
    Column("ID"),
    Column("STATUS", styles=STATUS_STYLES),
    Column("NAME", flexible=True),
    Column("AGE", right=True),
    Column("TOOK", right=True),
    Column("RESULT", flexible=True),
)
_LABEL = 11


def as_document(record: TaskRecord) -> dict[str, JSONValue]:
    """All that is recorded of a task, as JSON; the same object in every command."""
    error = record.error
    return {
        "id": record.id,
        "name": record.name,
        "status": record.status.value,
        "input": record.input,
        "output": record.output,
        "error": None
        if error is None
        else {"type": error.type, "message": error.message, "traceback": error.traceback},
        "metadata": dict(record.metadata),
        "priority": record.priority,
        "queue": record.queue,
        "key": record.key,
        "timeout": record.timeout,
        "agent": record.agent,
        "attempts": record.attempts,
        "worker": record.worker,
        "usage": record.usage.model_dump(mode="json") if record.usage else None,
        "created_at": _iso(record.created_at),
        "started_at": _iso(record.started_at),
        "completed_at": _iso(record.completed_at),
    }


def as_row(record: TaskRecord, now: datetime) -> list[str]:
    """A task as a row under `COLUMNS`."""
    return [
        record.id,
        record.status.value,
        preview(record.name, PREVIEW // 2),
        age(record.created_at, now) if record.created_at else "",
        _took(record, now),
        _result(record),
    ]


def print_task(record: TaskRecord, now: datetime) -> None:
    """Print all that is recorded of a task."""
    status = record.status.value
    print_spans([(record.name, "bold"), ("  ", ""), (status, STATUS_STYLES[status])])
    for label, text in _facts(record, now):
        print_spans([(f"  {label:<{_LABEL}}", "bright_black"), (text, "")])
    _print_block("Input", readable(record.input))
    if record.status is TaskStatus.COMPLETED:
        _print_block("Output", readable(record.output))
    if record.error is not None:
        _print_block("Error", str(record.error), "red")
        if record.error.traceback:
            _print_block("Traceback", record.error.traceback)


def _facts(record: TaskRecord, now: datetime) -> list[tuple[str, str]]:
    usage = record.usage
    facts = {
        "id": record.id,
        "queue": f"{record.queue}, priority {record.priority}",
        "key": record.key,
        "metadata": json.dumps(dict(record.metadata), ensure_ascii=False)
        if record.metadata
        else None,
        "timeout": duration(record.timeout) if record.timeout else None,
        "agent": record.agent,
        "submitted": _moment(record.created_at, now),
        "started": _moment(record.started_at, now),
        "finished": _moment(record.completed_at, now),
        "took": _took(record, now),
        "attempts": str(record.attempts),
        "worker": record.worker,
        "usage": None
        if usage is None
        else f"{usage.model or 'several models'}: {usage.requests} requests, "
        f"{usage.input_tokens} tokens in, {usage.output_tokens} out"
        + ("" if usage.cost_usd is None else f", ${usage.cost_usd:.4f}"),
    }
    return [(label, text) for label, text in facts.items() if text]


def _print_block(title: str, text: str, style: str = "") -> None:
    print_spans([(f"{title}:", "bold")])
    # Escaped first, so that only real line ends are indented.
    print_text(indent(escape(text.rstrip("\n"), lines=True), "  "), style)


def _took(record: TaskRecord, now: datetime) -> str:
    """How long it has been running, from its first start on."""
    if record.started_at is None:
        return ""
    return duration(((record.completed_at or now) - record.started_at).total_seconds())


def _result(record: TaskRecord) -> str:
    if record.error is not None:
        return preview(str(record.error))
    return preview(record.output) if record.status is TaskStatus.COMPLETED else ""


def _moment(at: datetime | None, now: datetime) -> str | None:
    return f"{moment(at)} ({age(at, now)} ago)" if at else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
