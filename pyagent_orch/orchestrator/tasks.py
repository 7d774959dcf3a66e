"""Tasks: submitting, finding, cancelling and retrying them.

A part of the facade. Submitting is the engine's, remembering the store's, following the
listener's; here is only who is asked when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pyagent_orch.exceptions import (
    InvalidTaskError,
    TaskExistsError,
    TaskNotFoundError,
    WorkflowNotFoundError,
)
from pyagent_orch.models.checks import DEFAULT_PRIORITY
from pyagent_orch.models.tasks import Task
from pyagent_orch.states import TaskStatus

if TYPE_CHECKING:
    from pyagent_orch.models.retry import RetryPolicy
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.orchestrator.home import Home


class Tasks:
    """The calls about tasks; a base of `Orchestrator`."""

    _connection: Connection
    _home: Home

    def submit(
        self,
        agent: object,
        input: object = None,  # noqa: A002 - the public contract's name
        *,
        name: str | None = None,
        priority: int = DEFAULT_PRIORITY,
        metadata: Mapping[str, JSONValue] | None = None,
        callback: Callable[[Task], object] | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | int | None = None,
        queue: str | None = None,
        key: str | None = None,
        id: str | None = None,  # noqa: A002 - the public contract's name
        delay: float = 0.0,
    ) -> Task:
        """Submit a task; returns at once with it, live.

        Args:
            agent: an agent (see `Task`), or a ready `Task`, alone.
            input: see `Task`, as are the other arguments.
            name: for people.
            priority: 1 (highest) to 10.
            metadata: JSON that stays with the task.
            callback: called once with the task when it is final, in a thread of this process.
            timeout: seconds that one attempt may take.
            retry: a policy, or the number of attempts in all.
            queue: the Celery queue.
            key: idempotency key: the same key returns the task that already has it.
            id: the task's id; made up when not given.
            delay: seconds before it may start.

        Raises:
            InvalidTaskError: something about it cannot be sent; nothing was.
            AgentNotFoundError: no worker knows the agent's name.
            OrchestratorConnectionError: Redis is out of reach or refuses. The task may be
                submitted again as it is: its id makes a repeat harmless.
        """
        if isinstance(agent, Task):
            task = agent
            task.callback = callback or task.callback
        else:
            task = Task(
                agent, input, id=id, name=name, priority=priority, metadata=metadata,
                timeout=timeout, retry=retry, queue=queue, key=key, delay=delay,
                callback=callback,
            )  # fmt: skip
        return self._submit([task])[0]

    def submit_many(self, tasks: Iterable[Task]) -> list[Task]:
        """Submit many tasks; one round trip for each few hundred.

        Raises:
            InvalidTaskError: one of them cannot be sent; nothing was.
            SubmitError: Redis went away half way; it says which are recorded.
        """
        return self._submit(list(tasks))

    async def asubmit(self, agent: object, input: object = None, **options: Any) -> Task:  # noqa: A002
        """`submit`, without blocking the event loop."""
        return await asyncio.to_thread(self.submit, agent, input, **options)

    async def asubmit_many(self, tasks: Iterable[Task]) -> list[Task]:
        """`submit_many`, without blocking the event loop."""
        return await asyncio.to_thread(self.submit_many, tasks)

    def _submit(self, tasks: list[Task]) -> list[Task]:
        client = self._connection.client
        for task in tasks:
            _check_unsent(task)
        # Tracked before the act: its events may be here before its answer.
        with self._connection.tracking(tasks):
            existing = client.dispatcher.submit(tasks)
        for task in tasks:
            task.bind(self._home)
        return [
            self._found(task, existing[place]) if place in existing else task
            for place, task in enumerate(tasks)
        ]

    def _found(self, task: Task, task_id: str) -> Task:
        """The task that was there first, for one that was submitted with its key or id."""
        record = self._connection.store.records.get(task_id)
        listener = self._connection.present_listener
        found = task
        if task_id != task.id:
            if listener is not None:
                listener.forget(task)
            task.bind(None)
            found = self._home.task(record)
            found.callback = task.callback
        if listener is not None:
            if not listener.is_tracking(found):
                listener.track(found)
            if not record.status.is_final:
                # What ended before it was tracked tells nobody any more.
                record = self._connection.store.records.get(task_id)
        found.update(record)
        if record.status.is_final and listener is not None:
            listener.settle("task", record)
        return found

    def status(self, id: str) -> TaskStatus:  # noqa: A002 - the public contract's name
        """The state of a task.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        return self._connection.store.records.status(id)

    def get_task(self, id: str) -> Task:  # noqa: A002 - the public contract's name
        """A task with all that is recorded of it, live.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        return self._home.task(self._connection.store.records.get(id))

    def tasks(
        self,
        *,
        status: TaskStatus | str | Iterable[TaskStatus | str] | None = None,
        name: str | None = None,
        metadata: Mapping[str, JSONValue] | None = None,
        limit: int = 100,
        before: Task | str | None = None,
    ) -> list[Task]:
        """List tasks; those whose state changed last come first.

        Args:
            status: only tasks in this state, or in one of these.
            name: only tasks of this name.
            metadata: only tasks whose metadata has these items.
            limit: how many at the most, >= 1.
            before: only tasks that come after this one (or its id) in the list: the last
                one of a page.
        """
        if status is None:
            statuses: list[TaskStatus] = list(TaskStatus)
        elif isinstance(status, str):
            statuses = [TaskStatus(status)]
        else:
            statuses = [TaskStatus(one) for one in status]
        records = self._connection.store.records.newest(
            statuses,
            name=name,
            metadata=metadata,
            limit=limit,
            before=before.id if isinstance(before, Task) else before,
        )
        return [self._home.task(record) for record in records]

    def counts(self) -> dict[TaskStatus, int]:
        """How many tasks are in each state."""
        return self._connection.store.records.counts()

    def cancel(self, id: str, *, reason: str = "cancelled by request") -> bool:  # noqa: A002
        """Cancel a task or workflow that waits or runs; False when it was final already.

        A model call or async agent stops within two heartbeats; a callable in a
        prefork pool by the end of its process; a callable in a thread cannot be
        stopped, but its result is refused.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        if not isinstance(id, str):
            raise TaskNotFoundError(id)
        try:
            return self._connection.store.records.cancel(id, reason)
        except TaskNotFoundError:
            with suppress(WorkflowNotFoundError):
                return self._connection.store.workflows.cancel(id, reason)
            raise

    def retry(self, id: str) -> Task:  # noqa: A002 - the public contract's name
        """Try a task again that failed, was cancelled or was skipped; returns it, live.

        Raises:
            TaskNotFoundError: there is no record of it.
            IllegalMoveError: it completed, or is not final.
        """
        if not isinstance(id, str):
            raise TaskNotFoundError(id)
        workflow = self._connection.store.records.requeue(id)
        if workflow is not None:
            self._connection.store.workflows.retry(workflow, [id])
        return self.get_task(id)

    # --- the same without blocking the event loop ------------------------------------------

    async def astatus(self, id: str) -> TaskStatus:  # noqa: A002
        """`status`, without blocking the event loop."""
        return await asyncio.to_thread(self.status, id)

    async def aget_task(self, id: str) -> Task:  # noqa: A002
        """`get_task`, without blocking the event loop."""
        return await asyncio.to_thread(self.get_task, id)

    async def acancel(self, id: str, *, reason: str = "cancelled by request") -> bool:  # noqa: A002
        """`cancel`, without blocking the event loop."""
        return await asyncio.to_thread(self.cancel, id, reason=reason)

    async def aretry(self, id: str) -> Task:  # noqa: A002
        """`retry`, without blocking the event loop."""
        return await asyncio.to_thread(self.retry, id)


def _check_unsent(task: object) -> None:
    if not isinstance(task, Task):
        raise InvalidTaskError(repr(task)[:80], "submit_many takes Task objects")
    if task.is_live:
        raise TaskExistsError(
            task.name, "this object has been submitted; build a new Task, or use retry()"
        )
