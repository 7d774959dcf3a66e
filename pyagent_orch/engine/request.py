"""A message in a worker's hands, in Celery's words: a request."""

from __future__ import annotations

import logging
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery.worker import state
from celery.worker.request import Request

from pyagent_orch.engine.attempts import Unwanted
from pyagent_orch.engine.message import Envelopes
from pyagent_orch.engine.runtime import runtime_of
from pyagent_orch.exceptions import PyAgentOrchError

logger = logging.getLogger(__name__)


class RunRequest(Request):  # type: ignore[misc] # Celery has no types
    """Tells the worker's keeper of runs that Celery ended from outside, Celery's monitors of
    tasks that were cancelled, and the record of a task that Celery was told to revoke.
    """

    acknowledged: bool

    def acknowledge(self) -> None:
        """The run is over. One that was claimed as it was taken only frees its slot: its record
        is written. So this need not go through the event loop, as an acknowledgement does.
        """
        # After a connection was lost, Celery counts acknowledgements up to the full prefetch.
        if Envelopes.CLAIM not in self.message.headers or any(self.on_ack.listeners):
            super().acknowledge()
        elif not self.acknowledged:
            self.acknowledged = True
            self.message.channel.let_go(self.message.delivery_tag)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Celery's hard time limit has ended the pool process."""
        super().on_timeout(soft, timeout)
        keeper = runtime_of(self.app).keeper
        if not soft and keeper is not None:
            keeper.note_time_limit(self.id, timeout)

    def on_failure(self, exc_info: Any, *args: Any, **options: Any) -> Any:
        """The run has ended without an output; also that of a cancelled task."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        answer = super().on_failure(exc_info, *args, **options)
        if isinstance(error, Unwanted):
            # Of what is ignored Celery says nothing: Flower would show it as started for ever.
            self.send_event("task-revoked", terminated=False, signum=None, expired=False)
        return answer

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Revoke a task that runs (`celery control revoke --terminate`, Flower's button).

        By the record: the keeper then stops the run, in whatever way its pool has. Celery's
        own way would give up the whole pool where it consists of threads.
        """
        if not self._cancel_record():
            super().terminate(pool, signal)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        """Celery drops this message as revoked; then its task is not to come back."""
        keeper = runtime_of(self.app).keeper
        if keeper is not None and keeper.has_handed_back and self.id not in state.revoked:
            # Its process was ended by a worker that stops, and another one goes on with it.
            state.task_ready(self)
            self.acknowledge()
            return
        super()._announce_revoked(reason, terminated, signum, expired)
        if self.id in state.revoked:
            self._cancel_record()

    def _cancel_record(self) -> bool:
        """Cancel the task for whoever revoked it; False when Redis cannot be told now."""
        try:
            runtime_of(self.app).store.records.cancel(self.id, "revoked by Celery's remote control")
        except PyAgentOrchError as error:
            # Without an end its message comes again, and is then revoked again.
            logger.warning("Could not cancel the revoked task %s: %s", self.id, error)
            return False
        return True
