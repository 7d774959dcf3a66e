"""What `pyagent-orch top` shows, as lines for people and as JSON for machines.

Command line, pure: two readings make the rates between them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyagent_orch.cli.show import STATUS_STYLES, Column, table_lines
from pyagent_orch.cli.times import duration
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.activity import Activity
from pyagent_orch.store.measures import Measures, QueueReading

Line = list[tuple[str, str]]
"""Parts of a line, each with its colour (empty for none)."""
MINUTE = 60
_QUEUES = (
    Column("QUEUE", flexible=True),
    Column("PRIORITY", right=True),
    Column("WAITING", right=True),
    Column("OLDEST", right=True),
)
_WORKERS = (
    Column("WORKER", flexible=True),
    Column("POOL"),
    Column("BUSY", right=True),
    Column("SLOTS", right=True),
    Column("QUEUES", flexible=True),
)
_RUNNING = (
    Column("RUNNING", flexible=True),
    Column("FOR", right=True),
    Column("ATTEMPT", right=True),
    Column("WORKER", flexible=True),
    Column("ID", flexible=True),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read at one moment."""

    at: float
    """By the monotonic clock, seconds."""
    measures: Measures
    activity: Activity


@dataclass(frozen=True, slots=True)
class Totals:
    """The counters, summed up over all names."""

    submitted: int
    ended: Mapping[str, int]
    """Attempts, by how they ended."""
    attempt_seconds: float
    tokens: int
    cost_usd: float

    @classmethod
    def of(cls, measures: Measures) -> Totals:
        """Sum up."""
        counters = measures.counters
        ended: Counter[str] = Counter()
        for (_, how), histogram in counters.attempts.items():
            ended[how] += histogram.count
        return cls(
            sum(counters.submitted.values()),
            ended,
            sum(one.sum_seconds for one in counters.attempts.values()),
            sum(one.input_tokens + one.output_tokens for one in counters.spent.values()),
            sum(one.cost_usd for one in counters.spent.values()),
        )


@dataclass(frozen=True, slots=True)
class Rates:
    """What happened between two readings, for each second."""

    submitted: float
    completed: float
    failed: float
    retried: float
    attempt_seconds: float | None
    """How long an attempt took on average; None when none ended."""
    tokens: float
    cost_usd_per_minute: float

    @classmethod
    def between(cls, before: Reading, now: Reading) -> Rates:
        """Work them out."""
        seconds = max(now.at - before.at, 1e-3)
        old, new = Totals.of(before.measures), Totals.of(now.measures)
        ended = {how: count - old.ended.get(how, 0) for how, count in new.ended.items()}
        attempts = sum(ended.values())
        spent = (new.attempt_seconds - old.attempt_seconds) / attempts if attempts else None

        def rate(*hows: str) -> float:
            return sum(ended.get(how, 0) for how in hows) / seconds

        return cls(
            submitted=(new.submitted - old.submitted) / seconds,
            completed=rate("completed"),
            failed=rate("failed"),
            retried=rate("retried", "deferred"),
            attempt_seconds=spent,
            tokens=(new.tokens - old.tokens) / seconds,
            cost_usd_per_minute=(new.cost_usd - old.cost_usd) / seconds * MINUTE,
        )


def as_top_document(before: Reading, now: Reading) -> JSONValue:
    """All of it, as JSON."""
    measures, rates, totals = now.measures, Rates.between(before, now), Totals.of(now.measures)
    return {
        "namespace": measures.namespace,
        "tasks": {status.value: count for status, count in measures.tasks.items()},
        "workflows": {status.value: count for status, count in measures.workflows.items()},
        "rates": {
            "seconds": round(now.at - before.at, 3),
            "submitted": round(rates.submitted, 3),
            "completed": round(rates.completed, 3),
            "failed": round(rates.failed, 3),
            "retried": round(rates.retried, 3),
            "attempt_seconds": rates.attempt_seconds,
            "tokens": round(rates.tokens, 3),
            "cost_usd_per_minute": rates.cost_usd_per_minute,
        },
        "totals": {
            "submitted": totals.submitted,
            "attempts": dict(totals.ended),
            "tokens": totals.tokens,
            "cost_usd": totals.cost_usd,
        },
        "healing": {
            "workers_lost": measures.counters.workers_lost,
            "recovered": dict(measures.counters.recovered),
            "released": measures.counters.released,
            "rejected_messages": measures.rejected,
            "swept_seconds": measures.swept_seconds,
        },
        "queues": [
            {
                "queue": one.queue,
                "priority": one.priority,
                "waiting": one.depth,
                "oldest_seconds": one.oldest_seconds,
            }
            for one in measures.queues
        ],
        "delayed": measures.delayed,
        "jobs": {"count": measures.jobs, "overdue_seconds": measures.job_overdue_seconds},
        "workers": [
            {
                "name": one.name,
                "pool": one.pool,
                "busy": one.busy,
                "slots": one.slots,
                "queues": list(one.queues),
            }
            for one in now.activity.workers
        ],
        "running": [
            {
                "id": one.id,
                "name": one.name,
                "worker": one.worker,
                "attempt": one.attempt,
                "seconds": one.seconds,
            }
            for one in now.activity.running
        ],
    }


def top_lines(before: Reading, now: Reading, width: int | None = None) -> list[Line]:
    """All of it, for people.

    Args:
        before: an earlier reading, for the rates.
        now: what to show.
        width: how many columns there are; None: as many as it takes.
    """
    lines = [_tasks(now.measures), _rates(Rates.between(before, now))]
    lines += [_spent(now.measures, Rates.between(before, now)), _healing(now.measures)]
    queues = [one for one in now.measures.queues if one.depth or _is_served(one)]
    if queues:
        rows = [
            [
                one.queue,
                str(one.priority),
                f"{one.depth:,}",
                duration(one.oldest_seconds) if one.depth else "",
            ]
            for one in queues
        ]
        lines += [[], *table_lines(_QUEUES, rows, width)]
    if now.activity.workers:
        lines += [[], *table_lines(_WORKERS, _worker_rows(now.activity), width)]
    else:
        lines += [[], [("No worker serves this namespace: pyagent-orch worker", "bold yellow")]]
    if now.activity.running:
        rows = [
            [one.name, duration(one.seconds), str(one.attempt), one.worker, one.id]
            for one in now.activity.running
        ]
        lines += [[], *table_lines(_RUNNING, rows, width)]
    return lines


def _is_served(one: QueueReading) -> bool:
    # An empty queue stands once, not with all the priorities that it ever had.
    return one.priority == 5  # noqa: PLR2004 - see `Measures.queues`


def _worker_rows(activity: Activity) -> Sequence[Sequence[str]]:
    return [
        [one.name, one.pool, str(one.busy), str(one.slots), ", ".join(one.queues)]
        for one in activity.workers
    ]


def _title(text: str) -> tuple[str, str]:
    return f"{text:<8}  ", "bold"


def _tasks(measures: Measures) -> Line:
    line = [_title("TASKS")]
    for status in TaskStatus:
        count = measures.tasks.get(status, 0)
        line.append((f"{count:,} {status.value}   ", STATUS_STYLES[status.value] if count else ""))
    if measures.delayed:
        line.append((f"({measures.delayed:,} delayed)", ""))
    return line


def _rates(rates: Rates) -> Line:
    line = [
        _title("A SECOND"),
        (f"{rates.submitted:.1f} submitted   {rates.completed:.1f} completed   ", ""),
        (f"{rates.failed:.1f} failed   ", "red" if rates.failed else ""),
        (f"{rates.retried:.1f} retried   ", "magenta" if rates.retried else ""),
    ]
    if rates.attempt_seconds is not None:
        line.append((f"{duration(rates.attempt_seconds)} an attempt", ""))
    return line


def _spent(measures: Measures, rates: Rates) -> Line:
    totals = Totals.of(measures)
    return [
        _title("MODELS"),
        (f"{totals.tokens:,} tokens ({rates.tokens:,.0f} a second)   ", ""),
        (f"${totals.cost_usd:,.4f} (${rates.cost_usd_per_minute:,.4f} a minute)", ""),
    ]


def _healing(measures: Measures) -> Line:
    lost, recovered = measures.counters.workers_lost, sum(measures.counters.recovered.values())
    line = [
        _title("HEALING"),
        (f"{lost:,} workers lost   {recovered:,} tasks recovered   ", "yellow" if lost else ""),
        (f"{measures.counters.released:,} given back   ", ""),
    ]
    if measures.rejected:
        line.append((f"{measures.rejected:,} messages put aside   ", "red"))
    if measures.jobs:
        late = measures.job_overdue_seconds
        text = f"{measures.jobs:,} jobs" + (f", overdue by {duration(late)}" if late else "")
        line.append((text, "red" if late > MINUTE else ""))
    return line
