"""Celery's task events: sent while somebody asks for them, such as Flower.

Part of the worker. They cost two fifths of the throughput, so a worker sends none
until it is asked (Flower asks every five seconds, by remote control) and stops when
nobody has asked for a while. With `-E` or the setting `task_events` it always sends.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import bootsteps
from celery.worker import control

logger = logging.getLogger(__name__)

ASKED_SECONDS = 20.0
"""For how long one asking holds: four of Flower's."""
LOOK_SECONDS = 5.0
"""How often a worker looks whether it is still asked."""

_enable_events = control.enable_events


@control.control_command()  # type: ignore[untyped-decorator] # Celery has no types
def enable_events(state: Any) -> Any:
    """Tell worker(s) to send task-related events, for as long as this is repeated.

    Takes the place of Celery's own command of this name, and calls it.
    """
    state.consumer.events_asked_at = time.monotonic()
    return _enable_events(state)


class TaskEventsStep(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
    """Switches task events off that nobody asks for any more (a bootstep of the consumer)."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        consumer.events_asked_at = 0.0
        self._timer: Any = None
        super().__init__(consumer, **options)

    def start(self, consumer: Any) -> None:
        """Begin to look."""
        self._timer = consumer.timer.call_repeatedly(LOOK_SECONDS, self.look, (consumer,))

    def stop(self, consumer: Any) -> None:  # noqa: ARG002 - Celery's signature
        """Look no more; the consumer is about to connect anew, or to end."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def look(self, consumer: Any) -> None:
        """Switch them off when nobody has asked for `ASKED_SECONDS`."""
        # None: the worker was started with `-E`.
        groups = getattr(consumer.event_dispatcher, "groups", None)
        if not groups or "task" not in groups:
            return
        if time.monotonic() - consumer.events_asked_at > ASKED_SECONDS:
            groups.discard("task")
            logger.info("Nobody asks for task events any more; they are switched off.")
