"""A message in a worker's hands, in Celery's words: a request."""

from __future__ import annotations

from celery.worker.request import Request

from pyagent_orch.engine.runtime import runtime_of


class RunRequest(Request):  # type: ignore[misc] # Celery has no types
    """Tells the worker's keeper of runs that Celery ended from outside."""

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Celery's hard time limit has ended the pool process."""
        super().on_timeout(soft, timeout)
        keeper = runtime_of(self.app).keeper
        if not soft and keeper is not None:
            keeper.note_time_limit(self.id, timeout)
