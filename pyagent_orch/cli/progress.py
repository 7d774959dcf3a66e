"""Waiting for a task while people see on stderr what it does.

Command line, over the facade. A terminal with rich gets one living line, and below it
what the task writes; all else gets one line for each change.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyagent_orch.cli.live_text import LiveText
from pyagent_orch.cli.show import console, note
from pyagent_orch.cli.times import duration
from pyagent_orch.escape import one_line
from pyagent_orch.exceptions import TaskTimeoutError
from pyagent_orch.states import TaskStatus

if TYPE_CHECKING:
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.orchestrator import Orchestrator

_TICK = 0.2
"""Seconds between two looks at what the listener has heard; they cost no round trip."""
_PATIENCE = 2.0
"""Seconds after which a task that does not start makes us ask whether there is a worker."""


_LINES = 8
"""How many lines of what the task writes are on the screen."""


_Tell = Callable[[str, float], None]
"""Tells what a task does, and for how many seconds it has been waited for."""


def wait_with_progress(
    orchestrator: Orchestrator, task: Task, timeout: float | None
) -> TaskRecord | None:
    """Wait until a task is final.

    Args:
        orchestrator: the one that the task belongs to.
        task: a live task.
        timeout: seconds; None: as long as it takes.

    Returns:
        Its record; None when the time is over.
    """
    started = time.monotonic()
    asked = orchestrator.is_embedded
    with _line(task) as tell:
        while True:
            waited = time.monotonic() - started
            left = _TICK if timeout is None else min(_TICK, max(0.0, timeout - waited))
            try:
                task.wait(left)
            except TaskTimeoutError:
                if timeout is not None and waited >= timeout:
                    return None
            record = task.record
            if record is None:
                continue
            tell(_said(record), waited)
            if record.status.is_final:
                return record
            if not asked and waited > _PATIENCE and record.status is TaskStatus.PENDING:
                asked = True
                if not orchestrator.workers():
                    where = orchestrator.settings.namespace
                    note(f"No worker serves namespace {where}; start one: pyagent-orch worker")


def _said(record: TaskRecord) -> str:
    text = f"{record.name} {record.id}: {record.status.value}"
    if record.status is TaskStatus.PENDING:
        return text
    if record.attempts > 1:
        text += f", attempt {record.attempts}"
    if record.worker and record.status in (TaskStatus.RUNNING, TaskStatus.COMPLETED):
        text += f" on {record.worker}"
    if record.started_at and record.completed_at:
        text += f" in {duration((record.completed_at - record.started_at).total_seconds())}"
    return text


@contextmanager
def _line(task: Task) -> Iterator[_Tell]:
    screen = console(sys.stderr)
    if screen is not None:
        from rich.text import Text

        written = LiveText(task).start()
        with screen.status("") as status:

            def update(text: str, seconds: float) -> None:
                lines = written.last_lines(task.id, max(20, screen.width - 4), _LINES)
                shown = "".join(f"\n{line}" for line in lines)
                status.update(Text(f"{one_line(text)}  {duration(seconds)}{shown}"))

            yield update
        return
    last = ""

    def write(text: str, _: float) -> None:
        nonlocal last
        if text != last:
            note(text)
            last = text

    yield write
