"""From users' tasks and workflows to the acts that record and queue them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from pyagent_orch.engine.faults import fault_point
from pyagent_orch.engine.prepare import Preparer, encode
from pyagent_orch.engine.recorder import Callback, Recorder
from pyagent_orch.engine.spans import submit_span, with_trace, workflow_span
from pyagent_orch.exceptions import (
    OrchestratorConnectionError,
    SubmitError,
    TaskExistsError,
)
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.tasks import Task
from pyagent_orch.models.values import JSONValue, from_ms, to_json
from pyagent_orch.states import TaskStatus
from pyagent_orch.store import Store
from pyagent_orch.store.newtasks import NewTask, UnknownAgentHashError
from pyagent_orch.store.records import Submitted
from pyagent_orch.store.workflows import NewWorkflow
from pyagent_orch.workflows import Flow, Plan, PlannedTask, Workflow, plan_workflow

BATCH = 500
"""How many tasks one act records; a larger one would hold Redis up for others."""


class _Batch(NamedTuple):
    """Tasks whose act is sent."""

    new: Sequence[NewTask]
    agents: AbstractSet[str]
    """The hashes of their agents."""
    answer: Callable[[], Submitted]


class Dispatcher:
    """Submits tasks and workflows to one store. Safe to share between threads."""

    def __init__(self, store: Store, preparer: Preparer) -> None:
        self._store, self._preparer = store, preparer
        self._sent: set[str] = set()
        self.recorder: Recorder | None = None
        """Is told what is sent, before whoever sent it goes on."""

    # --- tasks ------------------------------------------------------------------------

    def submit(self, tasks: Sequence[Task]) -> dict[int, str]:
        """Record tasks and queue them; one round trip for each `BATCH`.

        Returns:
            Maps the place of each task that existed already to its id.

        Raises:
            InvalidTaskError: a task cannot be sent as it is; nothing was sent.
            TaskExistsError: its id belongs to another task.
            SubmitError: some were sent and others not: Redis went away between two
                batches, or the id of one of several tasks belongs to another task.
            OrchestratorConnectionError: Redis is out of reach; nothing was sent.
        """
        with submit_span(tasks):
            return self._submit(tasks)

    def _submit(self, tasks: Sequence[Task]) -> dict[int, str]:
        prepared = with_trace([self._preparer.task(task) for task in tasks])
        _refuse_twins(tasks)
        existing: dict[int, str] = {}
        sent = 0
        under_way: deque[_Batch] = deque()
        try:
            for start in range(0, len(tasks), BATCH):
                batch = prepared[start : start + BATCH]
                with self._expecting([new.id for new in batch]):
                    under_way.append(self._begin(batch))
                    # Redis records one batch while the next is made. Not so with the first, which
                    # makes the agents known, nor where each is written down elsewhere, too.
                    ahead = 1 if start and self.recorder is None else 0
                    while len(under_way) > ahead:
                        existing |= self._settle(tasks, sent, under_way[0])
                        sent += len(under_way.popleft().new)
                if "" in existing.values():
                    break
            while under_way:
                existing |= self._settle(tasks, sent, under_way[0])
                sent += len(under_way.popleft().new)
        except OrchestratorConnectionError as error:
            if not sent:
                raise
            ids = [task.id for task in tasks]
            raise SubmitError(ids[:sent], ids[sent:], str(error)) from error
        _refuse_taken(tasks, existing, sent)
        return existing

    def _begin(self, batch: Sequence[NewTask]) -> _Batch:
        used = {str(new.fields["agent"]) for new in batch}
        known = self._preparer.agents
        fault_point("before_submit")
        answer = self._store.records.begin_submit(
            batch, {key: known[key] for key in used if key not in self._sent}
        )
        return _Batch(batch, used, answer)

    def _settle(self, tasks: Sequence[Task], start: int, batch: _Batch) -> dict[int, str]:
        """Read what became of a batch; maps places of what existed to ids, '' where taken."""
        new, used = batch.new, batch.agents
        agents = {key: self._preparer.agents[key] for key in used}
        try:
            done = batch.answer()
        except UnknownAgentHashError:
            # Expired since, or Redis is new.
            done = self._store.records.submit(new, agents)
        fault_point("after_submit")
        self._sent |= used
        if self.recorder is not None:
            recorded = [one for place, one in enumerate(new) if place not in done.existing]
            called = {task.id: task.callback for task in tasks[start : start + len(new)]}
            self.recorder.tasks(recorded, agents, done.created_ms, called)
            self.recorder.adopt([found for found in done.existing.values() if found])
        created = from_ms(done.created_ms)
        for place, one in enumerate(new):
            if place not in done.existing:
                _show_pending(tasks[start + place], one, created)
        return {start + place: task_id for place, task_id in done.existing.items()}

    # --- workflows ----------------------------------------------------------------------

    def plan(self, workflow: Workflow) -> Plan:
        """Check a workflow and plan it.

        Raises:
            InvalidWorkflowError: it cannot be run as it is.
            InvalidTaskError: a task of it cannot be sent.
        """
        return plan_workflow(workflow, self._preparer.path_for)

    def send_plan(self, plan: Plan, *, external: bool = False) -> None:
        """Record a workflow and start what can start; one act.

        Args:
            plan: what `plan` gave.
            external: record it only: a Celery canvas will start its tasks.

        Raises:
            InvalidTaskError: a task of it cannot be sent; nothing was sent.
            WorkflowExistsError: its id is that of a workflow that is recorded already.
            OrchestratorConnectionError: Redis is out of reach; nothing was sent.
        """
        with workflow_span(plan.workflow):
            self._send_plan(plan, external=external)

    def _send_plan(self, plan: Plan, *, external: bool) -> None:
        workflow = plan.workflow
        fields, planned = self.records_of(plan)
        tasks = with_trace(planned)
        if external:
            fields["external"] = "1"
        callbacks = {one.task.id: one.task.callback for one in plan.tasks}
        created = from_ms(
            self.send_workflow(
                workflow.id, fields, tasks, workflow.deadline,
                callbacks=callbacks, callback=workflow.callback,
            )
        )  # fmt: skip
        for one, new in zip(plan.tasks, tasks, strict=True):
            _show_pending(one.task, new, created)

    def records_of(self, plan: Plan) -> tuple[dict[str, str], list[NewTask]]:
        """What the records of a workflow and of its tasks begin with.

        Raises:
            InvalidTaskError: a task of it cannot be sent.
        """
        workflow = plan.workflow
        fields = {
            "name": workflow.name,
            "results": " ".join(plan.results),
            "edges": to_json({task: on for task, on in plan.graph.parents.items() if on}),
        }
        if workflow.pattern is not None:
            fields["pattern"] = workflow.pattern.value
        if workflow.metadata:
            fields["metadata"] = encode(workflow.name, workflow.metadata, "metadata")
        return fields, self._planned(plan)

    def send_workflow(
        self,
        workflow_id: str,
        fields: Mapping[str, str],
        tasks: Sequence[NewTask],
        deadline: float | None,
        agents: Mapping[str, str] | None = None,
        *,
        callbacks: Mapping[str, Callback] | None = None,
        callback: Callback = None,
    ) -> int:
        """Send a workflow that is ready to be recorded; see `send_plan`.

        Returns:
            When it was recorded, by Redis' clock, ms.
        """
        known = self._preparer.agents | dict(agents or {})
        used = {str(new.fields["agent"]) for new in tasks}
        new = NewWorkflow(
            workflow_id,
            {**fields, "token": uuid4().hex},
            tasks,
            int((deadline or 0) * 1000),
            {key: known[key] for key in used if key in known},
        )
        with self._expecting([task.id for task in tasks], workflow_id):
            fault_point("before_submit")
            created = self._store.workflows.submit(new)
            fault_point("after_submit")
            if self.recorder is not None:
                self.recorder.workflow(new, created, callbacks or {}, callback)
        return created

    def _expecting(self, tasks: list[str], workflow: str = "") -> AbstractContextManager[None]:
        recorder = self.recorder
        return nullcontext() if recorder is None else recorder.expecting(tasks, workflow)

    def _planned(self, plan: Plan) -> list[NewTask]:
        children: dict[str, list[str]] = {one.task.id: [] for one in plan.tasks}
        rescued: dict[str, list[str]] = {one.task.id: [] for one in plan.tasks}
        later: dict[str, list[str]] = {one.task.id: [] for one in plan.tasks}
        for one in plan.tasks:
            for parent in one.parents:
                children[parent].append(one.task.id)
            for parent in one.rescues:
                rescued[parent].append(one.task.id)
            for parent in one.afters:
                later[parent].append(one.task.id)
        # As its level of the workflow knows it: functions of the outputs go by that.
        names = {one.task.id: one.task.name for one in plan.tasks}
        planned: list[NewTask] = []
        for one in plan.tasks:
            fields = self._fields(one, names)
            for field, followers in (("next", children), ("rescue", rescued), ("after", later)):
                if followers[one.task.id]:
                    fields[field] = " ".join(followers[one.task.id])
            planned.append(NewTask(one.task.id, fields, int(one.task.delay * 1000)))
        return planned

    def _fields(self, one: PlannedTask, names: Mapping[str, str]) -> dict[str, str | int | float]:
        task = one.task
        agent = self._preparer.agent(one.name, one.agent)
        fields = self._preparer.fields(task, agent, one.input, one.name)
        fields["n"] = len(one.parents) + len(one.rescues)
        if one.parents or one.rescues:
            fields["deps"] = to_json({id_: names[id_] for id_ in (*one.parents, *one.rescues)})
        if one.rescues:
            fields["rescues"] = " ".join(one.rescues)
        if one.afters:
            fields["afters"], fields["blocked"] = " ".join(one.afters), len(one.afters)
        if one.need:
            fields["need"] = one.need
        if one.cancel_rest:
            fields["cancel_rest"] = "1"
        if one.inside:
            fields["inside"] = one.inside
        if one.when is not None:
            fields["when"] = one.when.json
        if not task.context:
            fields["context"] = "0"
        if isinstance(one.agent, Flow) and one.agent.name == "gather":
            # The end of a sub-workflow fails with it; it is not skipped.
            fields["expanded"] = ""
        return fields


def _refuse_taken(tasks: Sequence[Task], existing: Mapping[int, str], sent: int) -> None:
    """Refuse ids that belong to other tasks.

    Args:
        tasks: of one call.
        existing: maps the place of each that existed already to its id, '' where it was taken.
        sent: how many of them were sent, from the first on.
    """
    taken = [place for place, task_id in existing.items() if not task_id]
    if not taken:
        return
    task = tasks[taken[0]]
    error = TaskExistsError(
        task.name, f"its id {task.id!r} belongs to another task; choose another id"
    )
    if len(tasks) == 1:
        raise error
    unsent = {*taken, *range(sent, len(tasks))}
    raise SubmitError(
        [task.id for place, task in enumerate(tasks) if place not in unsent],
        [task.id for place, task in enumerate(tasks) if place in unsent],
        str(error),
    ) from error


def _refuse_twins(tasks: Sequence[Task]) -> None:
    """Refuse two tasks of one id in one call: one of them would be taken for a repeat."""
    if len({task.id for task in tasks}) < len(tasks):
        seen: set[str] = set()
        for task in tasks:
            if task.id in seen:
                raise TaskExistsError(
                    task.name, f"two tasks of this call have the id {task.id!r}; choose another"
                )
            seen.add(task.id)


def _show_pending(task: Task, new: NewTask, created: datetime | None) -> None:
    """Give a task the record that it has just got, without reading it back."""
    if task.record is not None:
        # The listener was faster, and knows more.
        return
    task.update(
        TaskRecord(
            id=new.id,
            name=str(new.fields["name"]),
            status=TaskStatus.PENDING,
            priority=task.priority,
            queue=str(new.fields["queue"]),
            input=_plain(task.input),
            metadata=task.metadata,
            agent=str(new.fields["agent"]),
            created_at=created,
            timeout=task.timeout,
            key=task.key,
        )
    )


def _plain(value: object) -> JSONValue:
    """An input as the sender's own record shows it; what is read back is plain JSON."""
    return value if isinstance(value, str | int | float | list | dict) else None
