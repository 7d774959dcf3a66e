"""Celery Beat over the jobs in Redis: `celery -A workers.celery_app beat`.

Several beats may run at once, also those of `worker -B`, since each due time is dealt with
by one atomic act. Entries of `beat_schedule` in Celery's own configuration are sent as
Celery's in-memory scheduler sends them, by each beat.
"""

from __future__ import annotations

import os
from typing import Any

from celery.beat import Scheduler
from celery.utils.nodenames import gethostname, nodename

from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.engine.ticker import LONGEST_PAUSE, Ticker


class JobScheduler(Scheduler):  # type: ignore[misc] # Celery has no types
    """Fires scheduled jobs; made by Celery's beat, for its one thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._store: Any = None
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Take over what Celery's configuration schedules, if anything."""
        runtime_of(self.app).warn_if_exposed()
        self.merge_inplace(self.app.conf.beat_schedule)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Fire what is due; returns the seconds until beat should ask again."""
        if self._store is None:
            # Here, since beat may fork between its making and its first tick.
            self._store = runtime_of(self.app).new_store()
            self._ticker = Ticker(self._store, nodename(f"beat-{os.getpid()}", gethostname()))
        configured = super().tick(*args, **kwargs) if self.schedule else LONGEST_PAUSE
        return min(float(configured), self._ticker.tick(), LONGEST_PAUSE)

    def close(self) -> None:
        """Give the connections back."""
        super().close()
        if self._store is not None:
            self._store.close()

    @property
    def info(self) -> str:
        """What beat shows when it starts."""
        runtime = runtime_of(self.app)
        return f"    . jobs -> {runtime.address.label}, namespace {runtime.settings.namespace}"
