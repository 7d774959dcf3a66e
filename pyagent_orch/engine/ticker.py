"""The ticker: fires scheduled jobs that are due. Beat's, and the embedded worker's.

Any number may run at once: each due time is dealt with by one atomic act, so there is
no leader, and nothing to fail over.
"""

from __future__ import annotations

import logging
import threading

from celery import Celery

from pyagent_orch.engine.faults import fault_point
from pyagent_orch.engine.jobs import firing_of
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.exceptions import OrchestratorConnectionError, PyAgentOrchError
from pyagent_orch.schedules.record import JobRecord
from pyagent_orch.store import RedisError, Store
from pyagent_orch.store.connection import is_outage
from pyagent_orch.store.schedules import Firing

logger = logging.getLogger(__name__)

LONGEST_PAUSE = 1.0
"""Seconds between two looks; a new job is seen after so long at the most."""
_ROUNDS = 50
"""Looks at what is due before beat may do something else."""


class Ticker:
    """Fires what is due; for one thread.

    Args:
        store: of its own.
        beat: the node name of the beat that it ticks in, for health checks; empty in a worker.
    """

    def __init__(self, store: Store, beat: str = "") -> None:
        self._store, self._beat = store, beat
        self._away = False

    def tick(self) -> float:
        """Fire all that is due; returns the seconds until the next look, >= 0.

        While Redis is out of reach nothing is fired, and nothing raised.
        """
        try:
            pause = self._tick()
        except (RedisError, OSError, OrchestratorConnectionError) as error:
            if not self._away:
                logger.warning("Scheduled jobs wait for Redis: %s", error)
            self._away = True
            return LONGEST_PAUSE
        if self._away:
            logger.warning("Redis is back; scheduled jobs go on")
        self._away = False
        return pause

    def _tick(self) -> float:
        schedules = self._store.schedules
        for _ in range(_ROUNDS):
            look = schedules.due(self._beat)
            for job_id, problem in look.broken:
                schedules.disable(job_id, problem)
                logger.error("Job %s cannot be read and is paused: %s", job_id, problem)
            if not look.jobs:
                return min(LONGEST_PAUSE, look.next_due if look.next_due is not None else 3600)
            firings: list[Firing] = []
            for due in look.jobs:
                try:
                    firings.append(firing_of(due, look.now))
                except (PyAgentOrchError, ValueError, LookupError, TypeError) as error:
                    self._pause(due.record, error)
            fault_point("before_fire")
            for firing, outcome in zip(firings, schedules.fire(firings), strict=True):
                if isinstance(outcome, Exception):
                    if is_outage(outcome):
                        raise outcome
                    self._pause(firing.job, outcome)
            fault_point("after_fire")
        return 0.0

    def _pause(self, job: JobRecord, error: Exception) -> None:
        """One job that cannot be fired must not stop the others."""
        problem = f"{type(error).__name__}: {error}"
        logger.error("Job %s (%s) cannot be fired and is paused: %s", job.id, job.name, problem)
        self._store.schedules.write(
            job.id, job.revision, {"enabled": "0", "problem": problem}, None, "job.paused"
        )


class TickerThread:
    """A ticker in a daemon thread, for the embedded mode. `start`, then `stop`."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pyagent-ticker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End the thread. Idempotent.

        Args:
            timeout: seconds to wait for it.
        """
        self._stopping.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        store = runtime_of(self._app).new_store()
        ticker = Ticker(store)
        try:
            while not self._stopping.is_set():
                self._stopping.wait(ticker.tick())
        finally:
            store.close()
