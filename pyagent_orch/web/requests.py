"""What the router is asked with, as pydantic models: checked before anything is built of it.

Pure: from JSON to `Task`, `Workflow`, patterns and jobs. Agents are named; a model with
instructions is for hosts that allow it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from pyagent_orch.models.retry import RetryPolicy
from pyagent_orch.models.tasks import Task
from pyagent_orch.orchestrator.agent_patterns import RunOptions, workflow_of
from pyagent_orch.patterns import ChainOfThought, Consensus, Debate, Limits, Pattern, Supervisor
from pyagent_orch.schedules.jobs import ScheduledJob
from pyagent_orch.schedules.timing import Missed, Overlap
from pyagent_orch.web.problems import Problem
from pyagent_orch.workflows import Workflow
from pyagent_orch.workflows.document import WorkflowDocument

Metadata = Mapping[str, Any]
Stamp = Callable[[Metadata | None], dict[str, Any]]
"""Makes the metadata of something new from that of a request."""

LONGEST_NAME = 500
"""Characters; names stand in every list and every event."""

AgentName = Annotated[
    str,
    # A path such as `module:function` is not a registered name: it would open the whole module.
    StringConstraints(min_length=1, max_length=200, pattern=r"^[^:\s](?:[^:]*[^:\s])?$"),
]
Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
Queue = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Seconds = Annotated[float, Field(gt=0, le=315_360_000, allow_inf_nan=False)]
Delay = Annotated[float, Field(ge=0, le=315_360_000, allow_inf_nan=False)]
Attempts = Annotated[int, Field(ge=1, le=1000)]


class _Body(BaseModel):
    # An unknown field is a mistake, and the input may hold what should stand in no log.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Spec(_Body):
    """A model with instructions, for hosts that allow it."""

    instructions: Annotated[str, StringConstraints(min_length=1)]
    name: Annotated[str, StringConstraints(max_length=200)] = ""
    model: str | None = None
    """`provider:model`; the workers' own when not given."""
    tools: list[AgentName] = []
    """Names of registered tools."""


Who = AgentName | Spec
"""The name of a registered agent, or a model with instructions."""


class TaskRequest(_Body):
    """A task to submit."""

    agent: Who
    input: Any = None
    name: Name | None = None
    priority: int = Field(default=5, ge=1, le=10)
    """1 is the highest."""
    metadata: dict[str, Any] = {}
    timeout: Seconds | None = None
    """Seconds that one attempt may take."""
    retry: Attempts | RetryPolicy | None = None
    """A number of attempts in all, or a policy."""
    queue: Queue | None = None
    delay: Delay = 0.0
    """Seconds before it may start."""

    def build(self, stamp: Stamp, *, specs: bool, key: str | None = None) -> Task:
        """The task.

        Raises:
            InvalidTaskError: something about it cannot be sent.
            Problem: it describes a model, and the host does not allow that.
        """
        return Task(
            agent_of(self.agent, specs=specs), self.input, name=self.name, priority=self.priority,
            metadata=stamp(self.metadata), timeout=self.timeout, retry=self.retry,
            queue=self.queue, key=key, delay=self.delay,
        )  # fmt: skip


class WorkflowRequest(WorkflowDocument):
    """A workflow to submit: what `pyagent-orch run` reads from YAML, without ids."""

    def checked(self, *, specs: bool) -> WorkflowRequest:
        """Itself, if a request may ask for it.

        Raises:
            Problem: it has ids, paths of functions, or models that the host does not allow.
        """
        _check_document(self, specs=specs)
        return self

    def build_for(self, stamp: Stamp, *, specs: bool, id: str | None = None) -> Workflow:  # noqa: A002 - the public contract's name
        """The workflow, and the metadata of all its tasks.

        Raises:
            InvalidWorkflowError: it cannot be run as it is.
            Problem: see `checked`.
        """
        document = _stamped(self.checked(specs=specs), stamp)
        return document.model_copy(update={"id": id}).build()


class _PatternBody(_Body):
    input: Any
    """The question, topic or problem."""
    name: Name | None = None
    metadata: dict[str, Any] = {}
    limits: Limits = Limits()
    retry: Attempts | RetryPolicy = 3
    """Of each turn."""
    timeout: Seconds | None = None
    """Seconds that one attempt of a turn may take."""
    priority: int = Field(default=5, ge=1, le=10)
    queue: Queue | None = None


class SupervisorRequest(_PatternBody):
    """A task that is planned, worked on and reviewed."""

    pattern: Literal["supervisor"]
    agents: list[Who] = Field(min_length=1, max_length=100)
    supervisor: Who | None = None
    supervisor_instructions: str = ""
    max_rounds: int = Field(default=2, ge=0, le=100)


class ConsensusRequest(_PatternBody):
    """A question that is voted on."""

    pattern: Literal["consensus"]
    agents: list[Who] = Field(min_length=1, max_length=100)
    threshold: float = Field(default=0.5, ge=0, le=1)
    weights: list[float] | dict[str, float] | None = None
    ties: Literal["approve", "reject"] = "reject"
    quorum: float | None = Field(default=None, ge=0, le=1)
    rounds: int = Field(default=1, ge=1, le=100)
    early_stop: bool = True


class DebateRequest(_PatternBody):
    """A topic that is argued for and against, and judged."""

    pattern: Literal["debate"]
    pro_agent: Who
    con_agent: Who
    judge: Who
    rounds: int = Field(default=3, ge=1, le=100)
    sure_at: float | None = Field(default=None, ge=0, le=1)


class ChainOfThoughtRequest(_PatternBody):
    """A problem that is thought through in steps."""

    pattern: Literal["chain_of_thought"]
    reasoner: Who
    steps: list[Annotated[str, StringConstraints(min_length=1)]] = Field(
        min_length=1, max_length=100
    )


PatternRequest = Annotated[
    SupervisorRequest | ConsensusRequest | DebateRequest | ChainOfThoughtRequest,
    Field(discriminator="pattern"),
]


class JobRequest(_Body):
    """A job to schedule: a task or a workflow, and one of `run_at`, `interval_seconds`, `cron`."""

    task: TaskRequest | None = None
    workflow: WorkflowRequest | None = None
    run_at: datetime | None = None
    interval_seconds: Annotated[float, Field(ge=0.001, allow_inf_nan=False)] | None = None
    cron: Annotated[str, StringConstraints(max_length=500)] | None = None
    timezone: str = "UTC"
    missed: Missed = "coalesce"
    overlap: Overlap = "allow"
    max_runs: int | None = Field(default=None, ge=1)
    end_at: datetime | None = None
    jitter: Delay = 0.0
    name: Name | None = None

    @model_validator(mode="after")
    def _what_and_when(self) -> JobRequest:
        if (self.task is None) == (self.workflow is None):
            raise ValueError("give either `task` or `workflow`")
        given = (self.run_at, self.interval_seconds, self.cron)
        if sum(one is not None for one in given) != 1:
            raise ValueError("give one of `run_at`, `interval_seconds` and `cron`")
        return self

    def build(self, stamp: Stamp, *, specs: bool) -> ScheduledJob:
        """The job.

        Raises:
            ScheduleError: it cannot be scheduled like this.
            Problem: its work is none that a request may ask for.
        """
        return ScheduledJob(
            self.task.build(stamp, specs=specs) if self.task else None,
            workflow=self.workflow.build_for(stamp, specs=specs) if self.workflow else None,
            run_at=self.run_at, interval_seconds=self.interval_seconds, cron=self.cron,
            timezone=self.timezone, missed=self.missed, overlap=self.overlap,
            max_runs=self.max_runs, end_at=self.end_at, jitter=self.jitter, name=self.name,
        )  # fmt: skip


class RetryRequest(_Body):
    """Which dead letters are to be tried again."""

    ids: list[str] = Field(default=[], max_length=1000)
    """These; none: those that fit the rest."""
    name: str | None = None
    error: str | None = None
    """The type of their last error."""
    limit: int = Field(default=1000, ge=1, le=10_000)


def agent_of(who: str | Spec, *, specs: bool) -> object:
    """The agent that a request means.

    Raises:
        Problem: it describes a model, and the host does not allow that.
    """
    if isinstance(who, str):
        return who
    if not specs:
        raise _no_specs()
    from pyagent_orch.agents.spec import Agent

    fields = {"name": who.name, "model": who.model, "tools": tuple(who.tools)}
    return Agent(instructions=who.instructions, **fields)


def pattern_workflow(
    body: _PatternBody,
    stamp: Stamp,
    *,
    specs: bool,
    id: str | None,  # noqa: A002 - as above
) -> Workflow:
    """The workflow that a pattern is run as.

    Raises:
        InvalidWorkflowError: the pattern cannot be run like this.
        Problem: it describes models, and the host does not allow that.
    """

    def one(who: str | Spec) -> object:
        return agent_of(who, specs=specs)

    pattern: Pattern
    if isinstance(body, SupervisorRequest):
        pattern = Supervisor(
            agents=[one(who) for who in body.agents], max_rounds=body.max_rounds,
            supervisor_instructions=body.supervisor_instructions, limits=body.limits,
            supervisor=one(body.supervisor) if body.supervisor else None,
        )  # fmt: skip
    elif isinstance(body, ConsensusRequest):
        pattern = Consensus(
            agents=[one(who) for who in body.agents], threshold=body.threshold,
            weights=body.weights, ties=body.ties, quorum=body.quorum, rounds=body.rounds,
            early_stop=body.early_stop, limits=body.limits,
        )  # fmt: skip
    elif isinstance(body, DebateRequest):
        pattern = Debate(
            pro_agent=one(body.pro_agent), con_agent=one(body.con_agent), judge=one(body.judge),
            rounds=body.rounds, sure_at=body.sure_at, limits=body.limits,
        )  # fmt: skip
    else:
        assert isinstance(body, ChainOfThoughtRequest)
        pattern = ChainOfThought(reasoner=one(body.reasoner), steps=body.steps, limits=body.limits)
    options: RunOptions = {
        "retry": body.retry, "timeout": body.timeout, "priority": body.priority,
        "queue": body.queue, "name": body.name, "id": id, "metadata": stamp(body.metadata),
    }  # fmt: skip
    workflow = workflow_of(pattern, body.input, options)
    workflow.tasks[0].metadata = stamp(None)
    return workflow


def _check_document(document: WorkflowDocument, *, specs: bool) -> None:
    if not 0 < len(document.name) <= LONGEST_NAME:
        raise Problem(422, "invalid", f"a name has 1 to {LONGEST_NAME} characters")
    if document.id is not None or any(task.id is not None for task in document.tasks):
        raise Problem(
            422, "invalid", "ids are made by the server; send an Idempotency-Key to be able to "
            "repeat a submit",
        )  # fmt: skip
    names = [task.name for task in document.tasks]
    for place, task in enumerate(document.tasks):
        if not 0 < len(task.name) <= LONGEST_NAME:
            raise Problem(422, "invalid", f"a name has 1 to {LONGEST_NAME} characters")
        if task.name in names[:place]:
            raise Problem(422, "invalid", f"two tasks are named {task.name!r}")
        if task.agent is not None and ":" in task.agent:
            raise Problem(
                422, "invalid", f"task {task.name[:80]!r}: name a registered agent, not the path "
                "of a function",
            )  # fmt: skip
        if task.instructions is not None and not specs:
            raise _no_specs()
        if task.workflow is not None:
            _check_document(task.workflow, specs=specs)


def _stamped(document: WorkflowDocument, stamp: Stamp) -> WorkflowDocument:
    tasks = [
        task.model_copy(
            update={
                "metadata": stamp(task.metadata),
                "workflow": _stamped(task.workflow, stamp) if task.workflow else None,
            }
        )
        for task in document.tasks
    ]
    return document.model_copy(update={"metadata": stamp(document.metadata), "tasks": tasks})


def _no_specs() -> Problem:
    return Problem(
        403, "no-specs", "models with instructions are not allowed here; name a registered agent"
    )
