"""Dead letters: tasks that failed for good, and having them tried again.

A part of the facade. Finding is the store's listing, retrying an act; here is
only which tasks are meant.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from pyagent_orch.exceptions import ConfigurationError, IllegalMoveError, NotFoundError
from pyagent_orch.models.tasks import Task
from pyagent_orch.states import TaskStatus

if TYPE_CHECKING:
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.orchestrator.home import Home
    from pyagent_orch.store.listing import Listed

logger = logging.getLogger(__name__)

Since = datetime | timedelta
"""A moment with its time zone, or how long ago."""
ErrorType = str | type[BaseException]
"""An error's class, or its name as it stands in a task's `error.type`."""


class DeadLetters:
    """The calls about tasks that failed for good; a base of `Orchestrator`.

    A task is a dead letter when it is FAILED: its attempts are used up, its error is one that
    another attempt cannot mend, or its workers were lost too often. It stays one until it is
    retried or its record expires.
    """

    _connection: Connection
    _home: Home

    def dead_letters(
        self,
        *,
        name: str | None = None,
        since: Since | None = None,
        error: ErrorType | None = None,
        limit: int | None = 100,
    ) -> list[Task]:
        """List the dead letters with their reasons (`task.error`); who failed last comes first.

        Args:
            name: only tasks of this name.
            since: only what failed at this time or later, by Redis' clock.
            error: only tasks that failed of this type of error.
            limit: how many at the most, >= 1; None: all of them. No more is read than it takes.

        Raises:
            ConfigurationError: `since` has no time zone, or `limit` is less than 1.
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        found = self._dead(name, since, error, limit)
        records = self._connection.store.records.found([one.id for one in found])
        return [self._home.task(record) for record in records]

    def retry_failed(
        self,
        *,
        name: str | None = None,
        since: Since | None = None,
        error: ErrorType | None = None,
        limit: int | None = None,
    ) -> list[Task]:
        """Try dead letters again; each with a full number of attempts.

        Tasks of a workflow go on in it, together with what was skipped because of them;
        all of one workflow in one act. What somebody else retries meanwhile, or what has
        expired, is left alone.

        Args:
            name: see `dead_letters`, as are the other arguments.
            since: likewise.
            error: likewise.
            limit: how many at the most, those that failed last; None: all of them.

        Returns:
            The tasks that are tried again, live.

        Raises:
            ConfigurationError: `since` has no time zone, or `limit` is less than 1.
            OrchestratorConnectionError: Redis is out of reach or refuses. What was retried
                before is; call it again for the rest.
        """
        store = self._connection.store
        # Found before the first is retried: what fails again must not come round again.
        found = self._dead(name, since, error, limit, workflows=True)
        workflows: dict[str, list[str]] = {}
        for one in found:
            if one.workflow is not None:
                workflows.setdefault(one.workflow, []).append(one.id)
        refused: set[str] = set()
        for workflow, task_ids in workflows.items():
            if not _retried(partial(store.workflows.retry, workflow, task_ids)):
                refused.update(task_ids)
        for one in found:
            if one.workflow is None and not _retried(partial(store.records.requeue, one.id)):
                refused.add(one.id)
        records = store.records.found([one.id for one in found if one.id not in refused])
        return [self._home.task(record) for record in records]

    def _dead(
        self,
        name: str | None,
        since: Since | None,
        error: ErrorType | None,
        limit: int | None,
        *,
        workflows: bool = False,
    ) -> Sequence[Listed]:
        if limit is not None and limit < 1:
            raise ConfigurationError("limit", f"{limit} is less than 1")
        from pyagent_orch.store.listing import Wanted

        listing = self._connection.store.records.listing
        if isinstance(since, timedelta):
            since_ms: int | None = listing.now_ms() - int(since.total_seconds() * 1000)
        elif since is not None:
            since_ms = _milliseconds(since)
        else:
            since_ms = None
        wanted = Wanted(
            name=name,
            error=error if error is None or isinstance(error, str) else error.__name__,
            since_ms=since_ms,
        )
        return listing.find([TaskStatus.FAILED], wanted, limit=limit, workflows=workflows)


def _milliseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ConfigurationError(
            "since", f"{moment.isoformat()} has no time zone; give an aware datetime, such as "
            "datetime.now(UTC) - timedelta(hours=2), or a timedelta",
        )  # fmt: skip
    return int(moment.timestamp() * 1000)


def _retried(act: Callable[[], object]) -> bool:
    """Whether an act took something up; what it refuses is no error among many."""
    try:
        act()
    except (IllegalMoveError, NotFoundError) as error:
        logger.warning("Not retried: %s", error)
        return False
    return True
