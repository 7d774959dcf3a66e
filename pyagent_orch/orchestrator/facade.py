"""The facade: what users call. It holds no logic of its own.

Submitting is the engine's, remembering the store's, following the listener's;
here is only who is asked when.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pyagent_orch.config import Settings
from pyagent_orch.exceptions import (
    ConfigurationError,
    IllegalMoveError,
    InvalidTaskError,
    TaskExistsError,
    TaskNotFoundError,
    WorkflowExistsError,
    WorkflowNotFoundError,
)
from pyagent_orch.models.checks import DEFAULT_PRIORITY, is_text, shown
from pyagent_orch.models.tasks import Task
from pyagent_orch.models.texts import TEXT_EVENT
from pyagent_orch.orchestrator.browsing import Browsing
from pyagent_orch.orchestrator.checkup import Checkup
from pyagent_orch.orchestrator.connection import Connection
from pyagent_orch.orchestrator.home import Home
from pyagent_orch.orchestrator.letters import DeadLetters
from pyagent_orch.orchestrator.schedules import ScheduledJobs
from pyagent_orch.states import ExecutionPattern, TaskStatus, WorkflowStatus
from pyagent_orch.workflows import Workflow
from pyagent_orch.workflows.checks import pattern_of
from pyagent_orch.workflows.copies import copy_of

if TYPE_CHECKING:
    from types import TracebackType

    from pyagent_orch.models.events import Event
    from pyagent_orch.models.retry import RetryPolicy
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.store import Store

H = TypeVar("H", bound=Callable[..., object])


class Orchestrator(Browsing, DeadLetters, ScheduledJobs, Checkup):
    """Runs tasks on a fleet of Celery workers, or on one of its own.

    With a URL it is a client of that Redis, and workers run elsewhere. Without
    one it is embedded: a private server and a Celery worker in this process
    start on first use and end with the process. Cheap to build: nothing is
    opened before the first call. Safe to share between threads; in a forked
    process it opens connections of its own. `close()` ends it, as do `with`,
    `async with` and the end of the program.

    Args:
        redis_url: the fleet's Redis; `PYAGENT_ORCH_REDIS_URL` when not given.
        namespace: keeps installations on one Redis apart.
        state_file: keeps what this process submits, and how it ends, in this file; one that
            holds something is opened at once, and what had not ended goes on. Embedded, the
            server's data lies beside it.
        settings: all settings at once; the arguments above win over it.

    Raises:
        ConfigurationError: a setting does not fit.
    """

    def __init__(
        self,
        *,
        redis_url: str | None = None,
        namespace: str | None = None,
        state_file: str | Path | None = None,
        settings: Settings | None = None,
    ) -> None:
        overrides: dict[str, object] = {"redis_url": redis_url, "namespace": namespace}
        if settings is None:
            settings = Settings.from_env(None, **overrides)
        elif redis_url is not None or namespace is not None:
            given = {name: value for name, value in overrides.items() if value is not None}
            settings = Settings.from_env({}, **(settings.model_dump() | given))
        if settings.redis_url is not None:
            # Says at once what is wrong with it.
            from pyagent_orch.store import parse_address

            parse_address(settings.redis_url)
        self.settings = settings
        path = Path(state_file) if state_file is not None else None
        self._connection = Connection(settings, path)
        self._home = self._connection.adopter = Home(self._connection)
        self._connection.resume()

    # --- life ---------------------------------------------------------------------------

    @property
    def is_embedded(self) -> bool:
        """Whether it runs a server and a worker of its own."""
        return self._connection.is_embedded

    @property
    def is_closed(self) -> bool:
        """Whether `close()` was called."""
        return self._connection.closed

    def start(self) -> Orchestrator:
        """Open the connection (and, embedded, server and worker) now instead of on first use.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
            EmbeddedServerError: there is no server to start.
        """
        self._store.ping()
        return self

    def close(self) -> None:
        """End the listener and the connections; embedded, worker and server too. Idempotent."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)

    @property
    def _store(self) -> Store:
        return self._connection.store

    # --- submitting -----------------------------------------------------------------------

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
        with self._tracking(tasks):
            existing = client.dispatcher.submit(tasks)
        for task in tasks:
            task.bind(self._home)
        return [
            self._found(task, existing[place]) if place in existing else task
            for place, task in enumerate(tasks)
        ]

    def _tracking(self, lives: Sequence[Task | Workflow]) -> AbstractContextManager[None]:
        listener = self._connection.present_listener
        if listener is None and any(live.callback is not None for live in lives):
            listener = self._connection.listener
        return listener.tracking(lives) if listener is not None else nullcontext()

    def _found(self, task: Task, task_id: str) -> Task:
        """The task that was there first, for one that was submitted with its key or id."""
        record = self._store.records.get(task_id)
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
                record = self._store.records.get(task_id)
        found.update(record)
        if record.status.is_final and listener is not None:
            listener.settle("task", record)
        return found

    # --- workflows ----------------------------------------------------------------------

    def submit_workflow(
        self,
        workflow: Workflow,
        pattern: ExecutionPattern | str | None = None,
        callback: Callable[[Workflow], object] | None = None,
        *,
        rerun: bool = False,
    ) -> Workflow:
        """Submit a workflow; returns the same object at once, live.

        Args:
            workflow: what to run.
            pattern: how its tasks follow each other; the workflow's own when not given.
            callback: called once with the workflow when it is final, in a thread of this process.
            rerun: whether one that is final is run again, under a new id.

        Returns:
            The workflow; when its id belongs to one that has not ended, that run. One that
            was submitted already is run beside that, as a copy, when another pattern is named.

        Raises:
            InvalidWorkflowError: it cannot be run as it is; nothing was sent.
            InvalidTaskError: a task of it cannot be sent; nothing was.
            IllegalMoveError: its id belongs to a workflow that is final, and `rerun` is not set.
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        if workflow.is_live:
            if pattern is None or pattern_of(workflow.name, pattern) is workflow.pattern:
                return self._again(workflow, rerun=rerun)
            workflow = copy_of(workflow)
        workflow.pattern = pattern_of(workflow.name, pattern) or workflow.pattern
        workflow.callback = callback or workflow.callback
        tasks = [task for task in workflow.tasks if isinstance(task, Task)]
        try:
            with self._tracking([workflow, *tasks]):
                dispatcher = self._connection.client.dispatcher
                plan = dispatcher.plan(workflow)
                dispatcher.send_plan(plan)
                self._home.adopt_submitted(plan)
        except WorkflowExistsError:
            found = self.get_workflow(workflow.id)
            return self._again(found, rerun=rerun)
        return workflow

    def _again(self, workflow: Workflow, *, rerun: bool) -> Workflow:
        """A workflow that is recorded already: the run itself, or a new one if asked for."""
        if not workflow.status.is_final:
            return workflow
        if not rerun:
            raise IllegalMoveError(
                workflow.id, f"{workflow.status.value} already (rerun=True runs it anew)", "submit"
            )
        return self._home.rerun(workflow.id, None)

    async def asubmit_workflow(
        self,
        workflow: Workflow,
        pattern: ExecutionPattern | str | None = None,
        callback: Callable[[Workflow], object] | None = None,
        *,
        rerun: bool = False,
    ) -> Workflow:
        """`submit_workflow`, without blocking the event loop."""
        return await asyncio.to_thread(
            self.submit_workflow, workflow, pattern, callback, rerun=rerun
        )

    def get_workflow(self, id: str) -> Workflow:  # noqa: A002 - the public contract's name
        """A workflow with its tasks, live.

        Raises:
            WorkflowNotFoundError: there is no record of it.
        """
        return self._home.workflow(self._store.workflows.get(id))

    def workflows(
        self,
        *,
        status: WorkflowStatus | str | None = None,
        name: str | None = None,
        limit: int = 20,
    ) -> list[Workflow]:
        """List workflows; those whose state changed last come first."""
        statuses = list(WorkflowStatus) if status is None else [WorkflowStatus(status)]
        records = self._store.workflows.newest(statuses, limit=limit, name=name)
        return [self._home.workflow(record) for record in records]

    def to_canvas(self, workflow: Workflow, app: Any = None) -> Any:
        """A workflow as a real `celery` canvas; see `Workflow.to_canvas`."""
        return self._home.canvas_of(workflow, app)

    # --- looking --------------------------------------------------------------------------

    def status(self, id: str) -> TaskStatus:  # noqa: A002 - the public contract's name
        """The state of a task.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        return self._store.records.status(id)

    def get_task(self, id: str) -> Task:  # noqa: A002 - the public contract's name
        """A task with all that is recorded of it, live.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        return self._home.task(self._store.records.get(id))

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
        records = self._store.records.newest(
            statuses,
            name=name,
            metadata=metadata,
            limit=limit,
            before=before.id if isinstance(before, Task) else before,
        )
        return [self._home.task(record) for record in records]

    def counts(self) -> dict[TaskStatus, int]:
        """How many tasks are in each state."""
        return self._store.records.counts()

    def workers(self) -> dict[str, dict[str, JSONValue]]:
        """The living workers: name to what each says of itself."""
        return self._store.fleet.workers()

    def wait(self, *lives: Task | Workflow, timeout: float | None = None) -> list[Any]:
        """Block until all these tasks and workflows are final, in whichever state.

        Args:
            lives: live tasks and workflows.
            timeout: seconds for all of them together; None: as long as it takes.

        Raises:
            TaskTimeoutError: one is not final by then; it goes on running.
        """
        self._home.wait(lives, timeout)
        return list(lives)

    # --- acting -----------------------------------------------------------------------------

    def cancel(self, id: str, *, reason: str = "cancelled by request") -> bool:  # noqa: A002
        """Cancel a task or workflow that waits or runs; False when it was final already.

        A model call or async agent stops within two heartbeats; a callable in a
        prefork pool by the end of its process; a callable in a thread cannot be
        stopped, but its result is refused.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        try:
            return self._store.records.cancel(id, reason)
        except TaskNotFoundError:
            with suppress(WorkflowNotFoundError):
                return self._store.workflows.cancel(id, reason)
            raise

    def retry(self, id: str) -> Task:  # noqa: A002 - the public contract's name
        """Try a task again that failed, was cancelled or was skipped; returns it, live.

        Raises:
            TaskNotFoundError: there is no record of it.
            IllegalMoveError: it completed, or is not final.
        """
        workflow = self._store.records.requeue(id)
        if workflow is not None:
            self._store.workflows.retry(workflow, [id])
        return self.get_task(id)

    # --- events -----------------------------------------------------------------------------

    def on(
        self,
        event: str,
        handler: Callable[..., object] | None = None,
        *,
        durable: str | None = None,
    ) -> Any:
        """Have a function called for events; a decorator when no handler is given.

        Handlers of `task.*` get a Task, of `job.*` a ScheduledJob (the Event when the job is
        gone), of custom events the data, of others the Event; those of `task.text` a
        TextPiece, for what running tasks write. They run one after the other in a thread of
        this process; one that raises is logged and stops nobody.

        Args:
            event: a type such as `task.completed`, or a pattern such as `task.*`.
            handler: a function or coroutine function of one argument.
            durable: a name that processes share: one of them gets each event, at least
                once, also those that were sent while all were down.

        Returns:
            The handler, so that it keeps its name as a decorated function.
        """
        if handler is None:
            return lambda function: self.on(event, function, durable=durable)
        if durable is not None:
            if event == TEXT_EVENT:
                raise ConfigurationError(
                    "durable", f"{TEXT_EVENT} is not kept; task.completed has the whole output"
                )
            from pyagent_orch.listener import DurableHandler

            served = DurableHandler(self._store, durable, event, handler, self._home)
            served.start()
            with self._connection.lock:
                self._connection.durable.append(served)
            return handler
        listener = self._connection.listener
        texts = self._connection.texts if event == TEXT_EVENT else None
        with self._connection.lock:
            self._connection.handlers.append((event, handler))
        if texts is not None:
            texts.add_handler(handler)
        else:
            listener.add_handler(event, handler)
        return handler

    def off(self, handler: Callable[..., object]) -> bool:
        """Stop calling a handler; False when it was not there."""
        connection = self._connection
        with connection.lock:
            kept = [entry for entry in connection.handlers if entry[1] is not handler]
            found = len(kept) < len(connection.handlers)
            connection.handlers = kept
            durable = [served for served in connection.durable if served.handler is handler]
            connection.durable = [one for one in connection.durable if one not in durable]
        listener = connection.present_listener
        if listener is not None:
            listener.remove_handler(handler)
        if connection.present_texts is not None:
            connection.present_texts.remove_handler(handler)
        for served in durable:
            served.stop()
        return found or bool(durable)

    def emit(self, event: str, data: JSONValue = None) -> str:
        """Write a custom event; every process with a handler for it gets the data.

        Returns:
            The event's id.

        Raises:
            InvalidTaskError: the data has no JSON form, or the type is one of ours.
        """
        if not is_text(event):
            raise InvalidTaskError(shown(event), "an event's type is a text that is not empty")
        if event.partition(".")[0] in ("task", "workflow", "job", "worker", "beat"):
            raise InvalidTaskError(
                event, "events of task, workflow, job, worker and beat are written with the state "
                "that they tell; choose another first word",
            )  # fmt: skip
        from pyagent_orch.engine.prepare import encode

        encode(event, data, "data")
        return self._store.events.append(event, "", data)

    def events(self, since: str | None = None, *, follow: bool = False) -> Iterator[Event]:
        """The events of the namespace, oldest first.

        Args:
            since: the id of the last event seen; None: from the oldest that is kept,
                or with `follow` from now on.
            follow: go on with new ones until the iterator is closed.
        """
        log = self._store.events
        position = since if since is not None else (log.last_id() if follow else "0-0")
        client = self._store.blocking_client() if follow else None
        try:
            while True:
                page = log.follow(position, client) if client else log.read(position)
                yield from page
                if page:
                    position = page[-1].id
                elif not follow or self._connection.closed:
                    return
        finally:
            if client is not None:
                client.close()

    async def aevents(self, since: str | None = None) -> AsyncIterator[Event]:
        """New events without blocking the event loop; see `events(follow=True)`."""
        log = self._store.events
        position = since if since is not None else await asyncio.to_thread(log.last_id)
        client = self._store.blocking_client()
        try:
            while not self._connection.closed:
                page = await asyncio.to_thread(log.follow, position, client)
                for event in page:
                    yield event
                    position = event.id
        finally:
            client.close()

    def __repr__(self) -> str:
        where = "embedded" if self.is_embedded else "fleet"
        return f"<Orchestrator {where} namespace={self.settings.namespace!r}>"


def _check_unsent(task: object) -> None:
    if not isinstance(task, Task):
        raise InvalidTaskError(repr(task)[:80], "submit_many takes Task objects")
    if task.is_live:
        raise TaskExistsError(
            task.name, "this object has been submitted; build a new Task, or use retry()"
        )
