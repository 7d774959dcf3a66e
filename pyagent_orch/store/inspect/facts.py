"""The facts about a namespace, as plain values. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """A worker that has, or had, a lease."""

    lease_id: str
    name: str
    info: Mapping[str, JSONValue]
    """What it says of itself; see `engine.describe.describe_worker`."""
    lease_seconds: float
    """How long its lease still is; negative: how long ago it ran out."""
    seen_seconds: float | None
    """How long ago it renewed it; None when it never said so."""
    clock_skew_seconds: float | None
    """How far its clock was ahead of Redis' then; None when it does not tell."""

    @property
    def is_alive(self) -> bool:
        """Whether its lease is good."""
        return self.lease_seconds >= 0


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """A queue with something in it, or one that a worker serves."""

    name: str
    waiting: int
    """Recorded tasks that wait in it."""
    messages: int
    """Messages in it, of whichever origin."""
    oldest_seconds: float
    """How long the oldest waiting task has been waiting; 0 without any."""


@dataclass(frozen=True, slots=True)
class WaitingAgent:
    """An agent that queued tasks need."""

    queue: str
    json: str
    """Its stored form; empty when the store has none."""
    tasks: int
    """How many of the tasks that were looked at need it."""


@dataclass(frozen=True, slots=True)
class RunningFacts:
    """A task that is recorded as running."""

    id: str
    name: str
    worker: str
    owner: str
    """The lease that it runs under."""
    running_seconds: float


@dataclass(frozen=True, slots=True)
class ExpirySample:
    """A finished task, and how long what it left will stay."""

    id: str
    expected_seconds: float
    """How long by the settings of whoever asks, counted from its end."""
    record_seconds: float | None
    """How long its record still stays; None: for ever."""
    has_result: bool
    result_seconds: float | None
    """Likewise its result in Celery's form, which holds the output."""


@dataclass(frozen=True, slots=True)
class GroupFacts:
    """A consumer group of the event stream: the processes of a durable handler."""

    name: str
    pending: int
    """Events that were handed out and not acknowledged."""
    lag: int | None
    """Events that were not handed out yet; None when the server cannot tell."""
    missed: bool
    """Whether events were dropped from the stream that it never got."""


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    """What there is of one namespace; the defaults are those of an empty one."""

    workers: Sequence[WorkerFacts] = ()
    queues: Sequence[QueueFacts] = ()
    agents: Sequence[WaitingAgent] = ()
    running: Sequence[RunningFacts] = ()
    """The oldest of them."""
    counts: Mapping[TaskStatus, int] = field(default_factory=dict)
    swept_seconds: float | None = None
    """How long ago a worker last looked for lost work; None: never."""
    overdue_seconds: float = 0.0
    """How long the first delayed task has been due; 0 when none is."""
    jobs: int = 0
    """Scheduled jobs."""
    jobs_to_come: int = 0
    """Those of them that will fire again."""
    beats: Sequence[str] = ()
    """The beats that are alive."""
    overdue_job_seconds: float = 0.0
    """How long the first of them has been due; 0 when none is."""
    expiry: Sequence[ExpirySample] = ()
    rejected: int = 0
    """Messages that were put aside."""
    foreign_unacked: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Messages in the hands of workers with Celery's own transport: maps queue and name of
    the Celery task to how many."""
    events: int = 0
    groups: Sequence[GroupFacts] = ()
