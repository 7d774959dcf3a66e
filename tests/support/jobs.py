"""Scheduled jobs, as if time had passed."""

from __future__ import annotations

from pyagent_orch import Orchestrator, ScheduledJob


def set_back(client: Orchestrator, job: ScheduledJob, seconds: float) -> None:
    """As if nobody had looked since so long ago."""
    store = client._connection.store
    record = store.schedules.get(job.id)
    back = int(seconds * 1000)
    timing = record.timing.model_copy(update={"at": record.timing.at - back})
    store.schedules.write(
        job.id, record.revision, {"timing": timing.model_dump_json()}, record.next_ms - back,
        "job.changed", seen=record.next_ms,
    )  # fmt: skip
