"""Looking through what is recorded, for pages and services: pages of lists, graphs, queues, events.

A part of the facade. Gives plain records, without inputs and outputs: a list of many must
not read what is large. Finding is the store's listing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pyagent_orch.exceptions import ConfigurationError, InputError, TaskNotFoundError
from pyagent_orch.inputs import references_of, render_input
from pyagent_orch.models.usage import Usage, total
from pyagent_orch.states import TaskStatus, WorkflowStatus

if TYPE_CHECKING:
    from datetime import datetime

    from pyagent_orch.graph import Graph
    from pyagent_orch.listener import DurableHandler, Listener
    from pyagent_orch.listener.onlookers import Witness
    from pyagent_orch.models.events import Event
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.orchestrator.home import Home
    from pyagent_orch.store.fleet import QueueLength
    from pyagent_orch.store.listing import Found, Listing
    from pyagent_orch.workflows import WorkflowRecord

R = TypeVar("R")
LOOK_AT = 5_000
"""How many records one page looks at, at the most, however few of them fit."""
ADDED_UP = 1_000
"""The cost of how many tasks one page of workflows adds up, at the most."""
LOOK_THROUGH = 20_000
"""How many events a history looks through, at the most."""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """A page of a list."""

    items: Sequence[R]
    next: str | None
    """What the next page is asked for with; None at the end of the list. A page whose filter
    fits seldom may be short and yet have a next one."""


@dataclass(frozen=True, slots=True)
class AgentLabel:
    """What is told of a recorded agent."""

    kind: str
    """`callable`, `model`, `flow`, `celery` or `local`."""
    name: str
    model: str | None = None
    instructions: str | None = None
    """What a model is asked to be."""


class Browsing:
    """The calls that look through records; a base of `Orchestrator`."""

    _connection: Connection
    _home: Home

    def browse_tasks(
        self,
        *,
        status: Iterable[TaskStatus] = (),
        name: str | None = None,
        text: str = "",
        metadata: Mapping[str, JSONValue] | None = None,
        error: str | None = None,
        alone: bool = False,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[TaskRecord]:
        """A page of the tasks, those that moved last first; of the same cost at any place.

        Args:
            status: only these states; none: all.
            name: only tasks of this name.
            text: only tasks with this in their name or id, capitals or not.
            metadata: only tasks whose metadata has these items.
            error: only tasks whose last error is of this type.
            alone: only tasks that are in no workflow.
            limit: how many at the most, >= 1.
            cursor: `next` of the page before.

        Raises:
            ConfigurationError: `limit` is less than 1, or that is no cursor.
            OrchestratorConnectionError: Redis is out of reach or refuses.
        """
        from pyagent_orch.store.listing import Wanted

        records = self._connection.store.records
        wanted = Wanted(name=name, metadata=metadata or {}, error=error, text=text, alone=alone)
        found = _page(records.listing, list(status) or list(TaskStatus), wanted, limit, cursor)
        items = records.summaries([one.id for one in found.items])
        return Page(items, str(found.next) if found.next else None)

    def browse_workflows(
        self,
        *,
        status: Iterable[WorkflowStatus] = (),
        name: str | None = None,
        text: str = "",
        metadata: Mapping[str, JSONValue] | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[WorkflowRecord]:
        """A page of the workflows; see `browse_tasks`."""
        from pyagent_orch.store.listing import Wanted

        workflows = self._connection.store.workflows
        wanted = Wanted(name=name, metadata=metadata or {}, text=text)
        found = _page(
            workflows.listing, list(status) or list(WorkflowStatus), wanted, limit, cursor
        )
        items = workflows.found([one.id for one in found.items])
        return Page(items, str(found.next) if found.next else None)

    def given_input(self, id: str) -> JSONValue:  # noqa: A002 - as `get_task`
        """The input of a task of a workflow as its agent is given it, outputs filled in.

        None for a task without a template, while an output that it names is not recorded, and
        where a function makes the input: that runs on workers only.
        """
        store = self._connection.store
        fields = store.workflows.raw_tasks([id])[0]
        template = fields.get("template")
        used = references_of(template) if template else None
        if template is None or used is None:
            return None
        # In a copied workflow templates know the tasks by the ids of the first one.
        aliases: dict[str, str] = json.loads(fields.get("aliases") or "{}")
        copies = {known: task for task, known in aliases.items()}
        known_as = {copies.get(one, one): one for one in used}
        records = [one for one in store.records.get_many(list(known_as)) if one is not None]
        if len(records) < len(known_as) or not all(one.status.is_final for one in records):
            return None
        outputs = {known_as[one.id]: one.output for one in records}
        try:
            return render_input(template, outputs, {}, _unknown)
        except InputError:
            return None

    def history(self, id: str) -> tuple[list[Event], bool]:  # noqa: A002 - as `get_task`
        """What happened to a task, oldest first, as far as the event stream still has it.

        Returns:
            The events, and whether all that were kept have been looked through.

        Raises:
            TaskNotFoundError: there is no record of it.
        """
        store = self._connection.store
        found = store.records.summaries([id])
        if not found:
            raise TaskNotFoundError(id)
        # Ids of events are times: those before its begin and behind its end are not read.
        begin, end = found[0].created_at, found[0].completed_at
        place = f"{max(0, _ms(begin) - 1)}-0" if begin else "0-0"
        last = _ms(end) + _SAME_ACT_MS if end else None
        events: list[Event] = []
        looked = 0
        while page := store.events.read(place):
            events += [event for event in page if event.subject == id and event.noun == "task"]
            if last is not None and _ms(page[-1].at) > last:
                break
            looked, place = looked + len(page), page[-1].id
            if looked >= LOOK_THROUGH:
                return events, False
        return events, True

    def workflow_usages(self, records: Iterable[WorkflowRecord]) -> dict[str, Usage]:
        """Maps ids to what each workflow has cost by now.

        Only as many tasks are added up as a page can afford; a workflow with more is left out.
        """
        ids, left = [], ADDED_UP
        for record in records:
            if record.size <= left:
                ids.append(record.id)
                left -= record.size
        found = self._connection.store.workflows.usages(ids)
        return {
            name: total([Usage.model_validate_json(text) for text in texts])
            for name, texts in found.items()
        }

    def summaries(self, ids: Sequence[str]) -> list[TaskRecord]:
        """The records of these tasks without inputs and outputs, less what has expired."""
        return self._connection.store.records.summaries(ids)

    def task_ids(self, workflow_id: str) -> list[str]:
        """The ids of all tasks that a workflow has by now."""
        return self._connection.store.workflows.task_ids(workflow_id)

    def metadata_of(
        self, subjects: Iterable[tuple[str, str]]
    ) -> dict[str, Mapping[str, JSONValue]]:
        """Maps ids to metadata; that of its workflow for a task in one.

        Args:
            subjects: pairs of `task` or `workflow` and an id. What has expired is left out.
        """
        store = self._connection.store
        by_noun: dict[str, list[str]] = {"task": [], "workflow": []}
        for noun, name in subjects:
            by_noun[noun].append(name)
        tasks = store.records.summaries(by_noun["task"])
        around = sorted({one.workflow for one in tasks if one.workflow} | {*by_noun["workflow"]})
        workflows = {one.id: one.metadata for one in store.workflows.found(around)}
        found = {name: workflows[name] for name in by_noun["workflow"] if name in workflows}
        return found | {
            one.id: workflows.get(one.workflow, {}) if one.workflow else one.metadata
            for one in tasks
        }

    def workflow_graph(self, id: str) -> tuple[list[TaskRecord], Graph]:  # noqa: A002 - as `get_task`
        """All tasks of a workflow without inputs and outputs, and who waits for whom.

        Raises:
            WorkflowNotFoundError: there is no record of it.
        """
        from pyagent_orch.workflows.recorded import recorded_graph

        store = self._connection.store
        record = store.workflows.get(id)
        records = store.records.summaries(store.workflows.task_ids(id))
        tasks = [self._home.task(one) for one in records]
        return records, recorded_graph(record.name, tasks, store.workflows.edges(id))

    def agent_labels(self, hashes: Iterable[str]) -> dict[str, AgentLabel]:
        """What is told of agents, by the hashes that records have; less those that expired."""
        found = self._connection.store.workflows.agents(sorted(set(hashes) - {""}))
        return {key: _label(json.loads(text)) for key, text in found.items()}

    def workflow_counts(self) -> dict[WorkflowStatus, int]:
        """How many workflows are in each state."""
        return self._connection.store.workflows.counts()

    def queues(self) -> list[QueueLength]:
        """The queues that have, or had, something in them, and those that workers serve."""
        return self._connection.store.fleet.queues()

    def event_span(self) -> tuple[str, str]:
        """The ids of the oldest and of the newest event that are kept; `0-0` without any."""
        events = self._connection.store.events
        return events.first_id(), events.last_id()

    def deliver(
        self, group: str, patterns: Sequence[str], handler: Callable[[Event], object]
    ) -> DurableHandler:
        """Have one process of a group call a function with every event that fits, at least once.

        As `on(durable=...)`, but with the events themselves, and no record is read.

        Args:
            group: the name that the processes share.
            patterns: which events; such as `task.*`.
            handler: called in a thread of the group; an `OfferAgainError` means: later.

        Returns:
            What serves the handler; its `stop` ends it, as does `close`.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        from pyagent_orch.listener import DurableHandler

        served = DurableHandler(self._connection.store, group, patterns, handler, None)
        served.start()
        with self._connection.lock:
            self._connection.durable.append(served)
        return served

    def observe(self, observer: Witness) -> Listener:
        """Have an observer shown every event from now on, in a thread of its own.

        Returns:
            What follows the stream; its `stop` ends it, as does `close`.

        Raises:
            OrchestratorConnectionError: Redis is out of reach.
        """
        from pyagent_orch.listener import Listener

        listener = Listener(self._connection.store, self._home, observer)
        listener.start()
        with self._connection.lock:
            running = [one for one in self._connection.observing if one.is_running]
            self._connection.observing = [*running, listener]
        return listener


def _page(
    listing: Listing, statuses: Sequence[str], wanted: object, limit: int, cursor: str | None
) -> Found:
    from pyagent_orch.store.listing import Position, Wanted

    if limit < 1:
        raise ConfigurationError("limit", f"{limit} is less than 1")
    assert isinstance(wanted, Wanted)
    after = Position.parse(cursor) if cursor is not None else None
    return listing.page(statuses, wanted, limit=limit, after=after, look_at=LOOK_AT)


def _label(wire: Mapping[str, object]) -> AgentLabel:
    kind = str(wire.get("kind", ""))
    spec = wire.get("spec")
    if kind == "model" and isinstance(spec, Mapping):
        model = spec.get("model")
        return AgentLabel(
            kind, str(spec.get("name", "")), str(model) if model else None,
            str(spec.get("instructions") or "") or None,
        )  # fmt: skip
    return AgentLabel(kind, str(wire.get("name") or wire.get("flow") or wire.get("task") or kind))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


_SAME_ACT_MS = 1_000
"""The event of an end may be a moment later than the time that stands in the record."""


def _unknown(path: str, outputs: dict[str, JSONValue]) -> JSONValue:  # noqa: ARG001 - a function of workers
    raise InputError(path, "functions of outputs are called on workers only")
