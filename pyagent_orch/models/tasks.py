"""The task: what a user builds, submits and then watches.

A `Task` holds what it was built with and, once submitted, a view of its record.
It does no I/O of its own: a submitted one asks its `TaskHome`, the orchestrator.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from copy import copy
from typing import Any, Literal, Protocol

from pyagent_orch.exceptions import (
    InvalidTaskError,
    TaskCancelledError,
    TaskFailedError,
    TaskOutcomeError,
    TaskSkippedError,
    TaskTimeoutError,
)
from pyagent_orch.models.checks import DEFAULT_PRIORITY, check_task, metadata_of, policy_of
from pyagent_orch.models.live import Live
from pyagent_orch.models.names import name_of, new_id
from pyagent_orch.models.records import TaskError, TaskRecord
from pyagent_orch.models.references import traced_output
from pyagent_orch.models.retry import RetryPolicy
from pyagent_orch.models.texts import START, TextPlace, TextSource, TextStream
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus

_SHOWN = 80
"""How many characters of an output `str(task)` shows."""


class TaskHome(TextSource, Protocol):
    """What a live task asks of the orchestrator that it belongs to."""

    def refresh(self, task: Task) -> None:
        """Bring the task's record up to date."""

    def wait_for(self, task: Task, timeout: float | None) -> None:
        """Block until the task is final; raise `TaskTimeoutError` after `timeout` seconds."""

    async def await_for(self, task: Task) -> None:
        """Wait until the task is final without blocking the event loop."""

    def cancel(self, task_id: str) -> bool:
        """Cancel a task; False when it was final already."""


class Task(Live[TaskRecord]):
    """A unit of work for an agent.

    Built by the user and given to `Orchestrator.submit`, or made by it. After
    that it is live: `status`, `output` and the rest follow the record. Safe to
    share between threads; lives as long as somebody holds it.

    Args:
        agent: an `Agent`, a registered callable or its name; in the embedded mode any callable.
        input: JSON, or what `inputs` can trace: a template, a lambda, a function of the outputs.
        id: unique in the namespace; made up when not given. Letters, digits and `_.:@-`.
        name: for people, and for `dependencies`; the agent's name when not given.
        status: only `PENDING`; there so that a task can be written out in full.
        priority: 1 (highest) to 10.
        metadata: JSON that stays with the task.
        timeout: seconds that one attempt may take, > 0; None: no limit.
        retry: a policy, or the number of attempts in all.
        queue: the Celery queue; the installation's default when not given.
        key: idempotency key: a second submit with the same key returns this task.
        delay: seconds before it may start, >= 0.
        callback: called once with the task when it is final, in the submitting process.
        when: in a workflow: a condition on outputs (see `inputs`); false: it is SKIPPED, and
            what only it fed too.
        map: in a workflow: a task (or its id or name) whose output is a list; the agent runs
            once for each item, and the output is the list of answers. In a text as input
            `{item}` is the item; without an input the item is it.
        need: in a workflow: it starts when so many of those it depends on completed, >= 1;
            `settled`: all are final, in whichever state; None: all completed. For a map: how
            many items must complete.
        cancel_rest: with `need`: cancel those that are not needed any more.
        on_failure: in a workflow: tasks (or ids or names); it runs only when one of them fails.
        context: in a workflow: whether outputs it depends on and its input does not name
            reach its agent as context.

    Raises:
        InvalidTaskError: an argument is out of its range.
    """

    def __init__(
        self,
        agent: object = None,
        input: object = None,  # noqa: A002 - the public contract's name
        *,
        id: str | None = None,  # noqa: A002 - the public contract's name
        name: str | None = None,
        status: TaskStatus = TaskStatus.PENDING,
        priority: int = DEFAULT_PRIORITY,
        metadata: Mapping[str, JSONValue] | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | int | None = None,
        queue: str | None = None,
        key: str | None = None,
        delay: float = 0.0,
        callback: Callable[[Task], object] | None = None,
        when: object = None,
        map: Task | str | None = None,  # noqa: A002 - the field's word
        need: int | Literal["settled"] | None = None,
        cancel_rest: bool = False,
        on_failure: Task | str | Iterable[Task | str] = (),
        context: bool = True,
    ) -> None:
        self.agent = agent
        self.input = input
        self.id = id if id is not None else new_id()
        self.name = name if name is not None else name_of(agent, self.id)
        self.has_own_name = name is not None
        self.priority = priority
        self.metadata: Mapping[str, JSONValue] = metadata_of(self.name, metadata)
        self.timeout = timeout
        self.retry = policy_of(self.name, retry)
        self.queue = queue
        self.key = key
        self.delay = delay
        self.callback = callback
        self.when = when
        self.map = reference(map) if map is not None else None
        self.need = need
        self.cancel_rest = cancel_rest
        failing = [on_failure] if isinstance(on_failure, Task | str) else on_failure
        self.on_failure = [reference(task) for task in failing]
        self.context = context
        self._home: TaskHome | None = None
        self._record: TaskRecord | None = None
        check_task(self, status)

    # --- the record -----------------------------------------------------------------

    def bind(self, home: TaskHome | None) -> None:
        """Make the task live; called by its orchestrator, as is `update`."""
        self._home = home

    def copy(self) -> Task:
        """The same task under a new id, not submitted."""
        fresh = copy(self)
        fresh.id, fresh._home, fresh._record = new_id(), None, None  # noqa: SLF001 - one of ours
        return fresh

    def update(self, record: TaskRecord) -> None:
        """Take a newer record; a final one is only left when the task was tried again."""
        known = self._record
        if known is not None and (
            # Read before somebody had it tried again.
            record.requeues < known.requeues
            or (
                known.status.is_final
                and not record.status.is_final
                and record.requeues == known.requeues
            )
        ):
            return
        self._record = record

    def _fresh(self) -> TaskRecord | None:
        record = self._record
        if record is not None and not record.status.is_final and self._home is not None:
            self._home.refresh(self)
        return self._record

    @property
    def status(self) -> TaskStatus:
        """The current state."""
        record = self._fresh()
        return record.status if record else TaskStatus.PENDING

    @property
    def output(self) -> Any:
        """The recorded output; None until there is one.

        While an input is traced (see `inputs`), a reference to the output to come.
        """
        reference = traced_output(self.id, self.name)
        if reference is not None:
            return reference
        record = self._fresh()
        return record.output if record else None

    @property
    def error(self) -> str | None:
        """Why the last attempt failed, or why the task was cancelled or skipped."""
        record = self._fresh()
        return str(record.error) if record and record.error else None

    @property
    def error_details(self) -> TaskError | None:
        """The error with its class name and the worker's traceback."""
        record = self._fresh()
        return record.error if record else None

    @property
    def attempts(self) -> int:
        """How often it was started; waits for a rate limit do not count."""
        record = self._fresh()
        return record.attempts if record else 0

    @property
    def worker(self) -> str | None:
        """The name of the worker that ran it last."""
        record = self._fresh()
        return record.worker if record else None

    @property
    def usage(self) -> Usage | None:
        """What its model calls cost, those of failed attempts included."""
        record = self._fresh()
        return record.usage if record else None

    # --- waiting --------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Task:
        """Block until the task is final, in whichever state.

        Args:
            timeout: seconds; None: as long as it takes.

        Raises:
            TaskTimeoutError: it is not final by then; it goes on running.
        """
        self._submitted().wait_for(self, timeout)
        return self

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the output.

        Raises:
            TaskFailedError: the task failed.
            TaskCancelledError: it was cancelled.
            TaskSkippedError: it was skipped.
            TaskTimeoutError: it timed out, or is not final after `timeout` seconds.
        """
        self.wait(timeout)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the output without blocking the event loop; raises what `result` raises."""
        yield from self._submitted().await_for(self).__await__()
        return self._outcome()

    def stream(self, *, after: str | None = None, timeout: float | None = None) -> TextStream:
        """The text that it writes, while it runs; for a `for` or an `async for` loop.

        At its end the rest of its output, if that is a text. Where a piece has `offset` 0 the
        text begins anew, and what came before is to be dropped.

        Args:
            after: the `id` of the last piece that was had, to go on behind it.
            timeout: seconds for the whole; None: as long as it takes.

        Raises:
            InvalidTaskError: it has not been submitted, or `after` is not the id of a piece.
        """
        place = START if after is None else TextPlace.parse(after, self.name)
        return TextStream(self._submitted(), "task", self.id, place, timeout)

    def cancel(self) -> bool:
        """Cancel the task, also while it runs; False when it was final already."""
        return self._submitted().cancel(self.id)

    def _submitted(self) -> TaskHome:
        if self._home is None:
            raise InvalidTaskError(self.name, "it has not been submitted yet")
        return self._home

    def _outcome(self) -> Any:
        record = self._record
        if record is None or record.status is TaskStatus.COMPLETED:
            return record.output if record else None
        reason = str(record.error) if record.error else ""
        raise _outcome_error(record)(self.id, reason)

    # --- for people -------------------------------------------------------------------

    def __str__(self) -> str:
        record = self._record
        status = record.status if record else TaskStatus.PENDING
        text = f"{self.name} [{self.id}] {status.name}"
        if record is None:
            return text + " (not submitted)"
        if record.status is TaskStatus.COMPLETED:
            shown = record.output if isinstance(record.output, str) else repr(record.output)
            text += f": {shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + '...'}"
        elif record.error:
            text += f": {record.error}"
        return text

    def __repr__(self) -> str:
        status = self._record.status if self._record else TaskStatus.PENDING
        return f"<Task {self.name!r} id={self.id} {status.name}>"


def reference(task: Task | str) -> str:
    """How a task is named where another one refers to it: by id, or as the user wrote it."""
    return task.id if isinstance(task, Task) else task


def _outcome_error(record: TaskRecord) -> type[TaskOutcomeError]:
    if record.status is TaskStatus.CANCELLED:
        return TaskCancelledError
    if record.status is TaskStatus.SKIPPED:
        return TaskSkippedError
    if record.error is not None and record.error.type == TaskTimeoutError.__name__:
        return TaskTimeoutError
    return TaskFailedError
