"""The workflow: tasks with dependencies, as a user builds and watches it.

Like a `Task`, it does no I/O of its own: a submitted one asks its `WorkflowHome`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pyagent_orch.exceptions import (
    InvalidWorkflowError,
    WorkflowCancelledError,
    WorkflowFailedError,
)
from pyagent_orch.models.live import Live
from pyagent_orch.models.tasks import Task, reference
from pyagent_orch.models.texts import START, TextStream
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import ExecutionPattern, WorkflowStatus
from pyagent_orch.workflows.checks import check_workflow, names_of, pattern_of
from pyagent_orch.workflows.home import WorkflowHome
from pyagent_orch.workflows.record import WorkflowRecord
from pyagent_orch.workflows.recorded import is_final, is_part, outputs_of, recorded_graph, usage_of

if TYPE_CHECKING:
    from pyagent_orch.graph import Graph

DEFAULT_MAX_ROUNDS = 3


class Workflow(Live[WorkflowRecord]):
    """Tasks that wait for each other.

    Built by the user and given to `Orchestrator.submit_workflow`; after that it
    is live. Safe to share between threads.

    Args:
        name: for people.
        tasks: at least one; a task is in one workflow only.
        dependencies: maps a task, or its id or name, to the tasks, ids or names it waits for.
        id: unique in the namespace; made up when not given.
        pattern: how the tasks follow each other; None: each as soon as what it depends on is
            recorded.
        deadline: seconds for the whole, > 0; then what is not final is cancelled.
        metadata: JSON that stays with the workflow.
        callback: called once with the workflow when it is final, in the submitting process.
        max_rounds: for SUPERVISOR (how often work is sent back) and COLLABORATIVE (how often
            each agent has its turn), >= 1.

    Raises:
        InvalidWorkflowError: an argument is out of its range. What depends on the tasks is
            checked at submit, or by `validate`.
    """

    def __init__(
        self,
        name: str | None = None,
        tasks: Iterable[Task] = (),
        dependencies: Mapping[Any, Iterable[Task | str] | Task | str] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - the public contract's name
        pattern: ExecutionPattern | str | None = None,
        deadline: float | None = None,
        metadata: Mapping[str, JSONValue] | None = None,
        callback: Callable[[Workflow], object] | None = None,
        max_rounds: int = DEFAULT_MAX_ROUNDS,
    ) -> None:
        self.id = id if id is not None else str(uuid4())
        self.name = name if name is not None else f"workflow-{self.id[:8]}"
        self._tasks: list[Task] | None = list(tasks)
        self.dependencies: dict[str, list[str]] = {
            reference(task): names_of(on) for task, on in (dependencies or {}).items()
        }
        self.pattern = pattern_of(self.name, pattern)
        self.deadline = deadline
        self.metadata: Mapping[str, JSONValue] = dict(metadata or {})
        self.callback = callback
        self.max_rounds = max_rounds
        self._home: WorkflowHome | None = None
        self._record: WorkflowRecord | None = None
        self._all: list[Task] = []
        self._added: set[str] | None = set()  # None: looked up, not built here
        self.aliases: Mapping[str, str] = {}
        """In a copy: maps the ids of the tasks it was made from to those of its own."""
        check_workflow(self)

    @classmethod
    def of_record(cls, record: WorkflowRecord, home: WorkflowHome) -> Workflow:
        """A live workflow for a record; its tasks are read when they are first asked for."""
        workflow = cls(record.name, id=record.id, pattern=record.pattern, metadata=record.metadata)
        workflow._tasks, workflow._added = None, None
        workflow.update(record)
        workflow.bind(home)
        return workflow

    # --- the record -------------------------------------------------------------------

    @property
    def tasks(self) -> list[Task]:
        """Its tasks: as built, or, of a workflow that was looked up, all that are recorded."""
        if self._tasks is None:
            self._tasks = list(self.all_tasks)
        return self._tasks

    @property
    def built(self) -> list[Task] | None:
        """The tasks that the user gave it; None when it was looked up."""
        added = self._added
        return None if added is None else [task for task in self.tasks if task.id not in added]

    def add(self, task: Task) -> None:
        """Take a task that its pattern has added; called by its orchestrator."""
        self._added = {*(self._added or ()), task.id}
        self.tasks.append(task)

    @property
    def all_tasks(self) -> list[Task]:
        """Every task: also those of sub-workflows, and those that were decided at run time."""
        record, home = self._record, self._home
        if record is None or home is None:
            return self.tasks
        if len(self._all) < record.size:
            self._all = home.tasks_of(self.id, self._all or self._tasks or ())
        return self._all

    def bind(self, home: WorkflowHome | None) -> None:
        """Make it live; called by its orchestrator, as is `update`."""
        self._home = home

    def known_tasks(self) -> list[Task]:
        """The tasks that are here already, without a look at Redis."""
        return list({task.id: task for task in (*(self._tasks or ()), *self._all)}.values())

    def update(self, record: WorkflowRecord) -> None:
        """Take a newer record."""
        self._record = record

    def _fresh(self, *, tasks: bool = False) -> WorkflowRecord | None:
        if self._home is not None:
            stale = self._record is None or not self._record.status.is_final
            if stale or (tasks and not all(is_final(task) for task in self.all_tasks)):
                self._home.refresh_workflow(self, tasks=tasks)
        return self._record

    @property
    def status(self) -> WorkflowStatus:
        """The current state."""
        record = self._fresh()
        return record.status if record else WorkflowStatus.PENDING

    @property
    def error(self) -> str | None:
        """The first failure, or why it was cancelled."""
        record = self._fresh()
        return record.error if record else None

    @property
    def outputs(self) -> dict[str, Any]:
        """Maps the names of the completed tasks to their outputs (ids where names collide)."""
        self._fresh(tasks=True)
        return outputs_of(task for task in self.tasks if not is_part(task))

    @property
    def output(self) -> Any:
        """The output of the last task, or a dict of the last ones by name; None until then."""
        record = self._fresh(tasks=True)
        if record is None:
            return None
        last = [task for task in self.all_tasks if task.id in record.results]
        done = outputs_of(last)
        return next(iter(done.values()), None) if len(last) == 1 else done or None

    @property
    def progress(self) -> float:
        """The share of its tasks that are final, 0.0 to 1.0."""
        record = self._fresh()
        if record is None or not record.size:
            return 0.0
        return 1 - record.open / record.size

    @property
    def usage(self) -> Usage:
        """What the model calls of all its tasks cost, those of failed attempts included."""
        self._fresh(tasks=True)
        return usage_of(self.all_tasks)

    # --- waiting and acting --------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Workflow:
        """Block until it is final, in whichever state.

        Raises:
            TaskTimeoutError: it is not final after `timeout` seconds; it goes on.
        """
        self._submitted().wait_for_workflow(self, timeout)
        return self

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the output.

        Raises:
            WorkflowFailedError: a task failed; the text names the first.
            WorkflowCancelledError: it was cancelled, or its deadline passed.
            TaskTimeoutError: it is not final after `timeout` seconds.
        """
        self.wait(timeout)
        return self._outcome()

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the output without blocking the event loop; raises what `result` raises."""
        yield from self._submitted().await_for_workflow(self).__await__()
        return self._outcome()

    def _outcome(self) -> Any:
        if self.status is WorkflowStatus.FAILED:
            raise WorkflowFailedError(self.id, self.error or "")
        if self.status is WorkflowStatus.CANCELLED:
            raise WorkflowCancelledError(self.id, self.error or "")
        return self.output

    def stream(self, *, timeout: float | None = None) -> TextStream:
        """The text that all its tasks write, also those decided at run time; see `Task.stream`."""
        return TextStream(self._submitted(), "workflow", self.id, START, timeout)

    def cancel(self) -> bool:
        """Cancel what waits and what runs; False when it was final already."""
        return self._submitted().cancel_workflow(self.id)

    def retry_failed(self) -> Workflow:
        """Run again what failed, was cancelled, or was skipped for that; outputs stay.

        Raises:
            IllegalMoveError: nothing of it failed.
        """
        self._submitted().retry_failed(self)
        return self

    def rerun(self, from_task: Task | str | None = None) -> Workflow:
        """Start a new run, under a new id, that reuses recorded outputs.

        Args:
            from_task: only this task (or its name or id) and all that depends on it run again.
        """
        return self._submitted().rerun(self.id, reference(from_task) if from_task else None)

    def _submitted(self) -> WorkflowHome:
        if self._home is None:
            raise InvalidWorkflowError(self.name, "it has not been submitted yet")
        return self._home

    # --- seeing it ------------------------------------------------------------------------

    def graph(self) -> Graph:
        """Who waits for whom: dependencies, what the inputs use, and what was decided since.

        Raises:
            InvalidWorkflowError: the tasks and dependencies do not fit together.
        """
        if self._record is not None and self._home is not None:
            return recorded_graph(self.name, self.all_tasks, self._home.edges_of(self.id))
        from pyagent_orch.workflows.plan import plan_workflow

        return plan_workflow(self).graph

    def validate(self) -> Workflow:
        """Check what can be checked without Redis.

        Raises:
            InvalidWorkflowError: a cycle, an unknown or doubled name, no tasks.
            InvalidTaskError: an input or a condition that cannot travel.
        """
        self.graph()
        return self

    def explain(self) -> str:
        """The chains and chords that it is run as, for people."""
        from pyagent_orch.graph import explain

        return explain(self.graph())

    def to_mermaid(self) -> str:
        """A Mermaid flowchart, with the present states when it is live."""
        from pyagent_orch.graph import to_mermaid

        self._fresh(tasks=True)
        states = {task.id: task.record.status for task in self.all_tasks if task.record}
        return to_mermaid(self.graph(), states)

    def to_canvas(self, app: Any = None) -> Any:
        """The workflow as a real `celery` canvas, to run alone or inside another canvas.

        Its records are written now, by the orchestrator that it belongs to.

        Args:
            app: the Celery app that sends it, if not the orchestrator's own: that of the
                canvas around it, since Celery waits for the results of one app only.

        Raises:
            InvalidWorkflowError: a canvas cannot say this graph; the text names the tasks.
        """
        if self._home is None:
            raise InvalidWorkflowError(
                self.name, "it has no orchestrator yet; use orchestrator.to_canvas(workflow)"
            )
        return self._home.canvas_of(self, app)

    def __str__(self) -> str:
        record = self._record
        if record is None:
            return f"{self.name} [{self.id}] {len(self.tasks)} tasks (not submitted)"
        done = record.size - record.open
        text = f"{self.name} [{self.id}] {record.status.name} {done}/{record.size}"
        return text + (f": {record.error}" if record.error else "")

    def __repr__(self) -> str:
        status = self._record.status if self._record else WorkflowStatus.PENDING
        size = self._record.size if self._record else len(self.tasks)
        return f"<Workflow {self.name!r} id={self.id} {size} tasks {status.name}>"
