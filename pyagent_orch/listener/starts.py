"""What a live task shows when it starts, known from the event alone.

A part of the listener. A look at the record would cost a round trip between the
start and the end of every task that somebody waits for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pyagent_orch.models.events import Event
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.tasks import Task
from pyagent_orch.states import TaskStatus


def starting(event: Event, lives: Sequence[object]) -> list[tuple[Task, TaskRecord]]:
    """The records that tasks have once they have started.

    Args:
        event: any event.
        lives: the live objects that it is about.

    Returns:
        Each task with its new record; empty when the event does not tell enough: it is
        no start, or one that follows a failed attempt.
    """
    if event.type != "task.started" or not isinstance(event.data, dict):
        return []
    started = []
    for task in lives:
        if not isinstance(task, Task):
            return []
        record = task.record
        if record is None or record.status is not TaskStatus.PENDING or record.error is not None:
            return []
        shown = replace(
            record,
            status=TaskStatus.RUNNING,
            attempts=int(str(event.data["attempt"])),
            worker=str(event.data["worker"]),
            started_at=event.at,
        )
        started.append((task, shown))
    return started
