"""`AgentPatterns`: the patterns as calls that submit, wait and give the result."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar

from pydantic import ValidationError
from typing_extensions import Unpack

from pyagent_orch.exceptions import IllegalMoveError, InvalidWorkflowError
from pyagent_orch.models.checks import DEFAULT_PRIORITY
from pyagent_orch.models.tasks import Task
from pyagent_orch.orchestrator.shared import default_orchestrator
from pyagent_orch.patterns import (
    ChainOfThought,
    ChainOfThoughtResult,
    Consensus,
    ConsensusResult,
    Debate,
    DebateResult,
    Pattern,
    PatternResult,
    Supervisor,
    SupervisorResult,
)
from pyagent_orch.workflows import Workflow

if TYPE_CHECKING:
    from pyagent_orch.models.retry import RetryPolicy
    from pyagent_orch.models.texts import TextPiece
    from pyagent_orch.models.values import JSONValue
    from pyagent_orch.orchestrator.facade import Orchestrator
    from pyagent_orch.patterns import Limits

R = TypeVar("R", bound=PatternResult)

ATTEMPTS = 3
"""How often each turn is tried where nothing else is said."""


class RunOptions(TypedDict, total=False):
    """What every pattern takes besides its own arguments."""

    orchestrator: Orchestrator | None
    """Where it runs; by default one that the process shares."""
    limits: Limits | Mapping[str, Any] | None
    """Turns, tokens, requests, seconds; a reached limit ends the run with what there is."""
    retry: RetryPolicy | int | None
    """Of each turn: a policy or the number of attempts, 3 when not given."""
    timeout: float | None
    """Seconds that one attempt of a turn may take."""
    priority: int
    """1 (highest) to 10."""
    queue: str | None
    """The Celery queue of the turns."""
    id: str | None
    """The workflow's id. That of a run which is recorded already waits for that run."""
    name: str | None
    """The workflow's name, for people."""
    metadata: Mapping[str, JSONValue] | None
    """JSON that stays with the workflow."""
    on_text: Callable[[TextPiece], object] | None
    """Called with what the turns write while they run, where the call waits: in its thread, or
    on its event loop, where a coroutine function is awaited. What it raises ends the waiting."""


class AgentPatterns:
    """Several agents that work together, each call of an agent a recorded task.

    Every pattern runs as one workflow: a crash re-asks nobody, and it can be watched,
    cancelled and retried by `result.workflow_id`. See `RunOptions` for what all take
    besides. They raise `WorkflowFailedError` when a turn failed for good and
    `WorkflowCancelledError` when the run was cancelled.
    """

    @staticmethod
    def supervisor(
        task: JSONValue,
        agents: Sequence[object],
        supervisor_instructions: str = "",
        *,
        supervisor: object = None,
        max_rounds: int = 2,
        **options: Unpack[RunOptions],
    ) -> SupervisorResult:
        """Have a task planned, worked on and reviewed; see `Supervisor`."""
        pattern = Supervisor(
            agents=agents, supervisor_instructions=supervisor_instructions, supervisor=supervisor,
            max_rounds=max_rounds, limits=options.get("limits"),
        )  # fmt: skip
        return _run(pattern, task, options)

    @staticmethod
    def consensus(
        task: JSONValue,
        agents: Sequence[object],
        threshold: float = 0.5,
        *,
        weights: Sequence[float] | Mapping[str, float] | None = None,
        ties: Literal["approve", "reject"] = "reject",
        quorum: float | None = None,
        rounds: int = 1,
        early_stop: bool = True,
        **options: Unpack[RunOptions],
    ) -> ConsensusResult:
        """Have a question voted on; see `Consensus`."""
        pattern = Consensus(
            agents=agents, threshold=threshold, weights=weights, ties=ties, quorum=quorum,
            rounds=rounds, early_stop=early_stop, limits=options.get("limits"),
        )  # fmt: skip
        return _run(pattern, task, options)

    @staticmethod
    def debate(
        topic: JSONValue,
        pro_agent: object,
        con_agent: object,
        judge: object,
        rounds: int = 3,
        *,
        sure_at: float | None = None,
        **options: Unpack[RunOptions],
    ) -> DebateResult:
        """Have a topic argued for and against, and judged; see `Debate`."""
        pattern = Debate(
            pro_agent=pro_agent, con_agent=con_agent, judge=judge, rounds=rounds, sure_at=sure_at,
            limits=options.get("limits"),
        )  # fmt: skip
        return _run(pattern, topic, options)

    @staticmethod
    def chain_of_thought(
        problem: JSONValue,
        reasoner: object,
        steps: Sequence[str],
        **options: Unpack[RunOptions],
    ) -> ChainOfThoughtResult:
        """Have a problem thought through in steps; see `ChainOfThought`."""
        pattern = ChainOfThought(reasoner=reasoner, steps=steps, limits=options.get("limits"))
        return _run(pattern, problem, options)

    # --- the same, to await ---------------------------------------------------------------

    @staticmethod
    async def asupervisor(
        task: JSONValue,
        agents: Sequence[object],
        supervisor_instructions: str = "",
        *,
        supervisor: object = None,
        max_rounds: int = 2,
        **options: Unpack[RunOptions],
    ) -> SupervisorResult:
        """`supervisor`, without blocking the event loop."""
        pattern = Supervisor(
            agents=agents, supervisor_instructions=supervisor_instructions, supervisor=supervisor,
            max_rounds=max_rounds, limits=options.get("limits"),
        )  # fmt: skip
        return await _arun(pattern, task, options)

    @staticmethod
    async def aconsensus(
        task: JSONValue,
        agents: Sequence[object],
        threshold: float = 0.5,
        *,
        weights: Sequence[float] | Mapping[str, float] | None = None,
        ties: Literal["approve", "reject"] = "reject",
        quorum: float | None = None,
        rounds: int = 1,
        early_stop: bool = True,
        **options: Unpack[RunOptions],
    ) -> ConsensusResult:
        """`consensus`, without blocking the event loop."""
        pattern = Consensus(
            agents=agents, threshold=threshold, weights=weights, ties=ties, quorum=quorum,
            rounds=rounds, early_stop=early_stop, limits=options.get("limits"),
        )  # fmt: skip
        return await _arun(pattern, task, options)

    @staticmethod
    async def adebate(
        topic: JSONValue,
        pro_agent: object,
        con_agent: object,
        judge: object,
        rounds: int = 3,
        *,
        sure_at: float | None = None,
        **options: Unpack[RunOptions],
    ) -> DebateResult:
        """`debate`, without blocking the event loop."""
        pattern = Debate(
            pro_agent=pro_agent, con_agent=con_agent, judge=judge, rounds=rounds, sure_at=sure_at,
            limits=options.get("limits"),
        )  # fmt: skip
        return await _arun(pattern, topic, options)

    @staticmethod
    async def achain_of_thought(
        problem: JSONValue,
        reasoner: object,
        steps: Sequence[str],
        **options: Unpack[RunOptions],
    ) -> ChainOfThoughtResult:
        """`chain_of_thought`, without blocking the event loop."""
        pattern = ChainOfThought(reasoner=reasoner, steps=steps, limits=options.get("limits"))
        return await _arun(pattern, problem, options)


def workflow_of(pattern: Pattern, question: JSONValue, options: RunOptions) -> Workflow:
    """A workflow whose one task is a pattern; the question is data, whatever is in it."""
    task = Task(
        pattern,
        question,
        name=_name_for(pattern, question),
        retry=options.get("retry", ATTEMPTS),
        timeout=options.get("timeout"),
        priority=options.get("priority", DEFAULT_PRIORITY),
        queue=options.get("queue"),
    )
    return Workflow(
        options.get("name") or pattern.name,
        [task],
        id=options.get("id"),
        metadata=options.get("metadata"),
    )


def _name_for(pattern: Pattern, question: JSONValue) -> str:
    """A name for the task that no braces in the question mean: it is data, and no template."""
    text, name, number = repr(question), pattern.name, 1
    while f"{{{name}." in text:
        number += 1
        name = f"{pattern.name} {number}"
    return name


def _submit(pattern: Pattern, question: JSONValue, options: RunOptions) -> Workflow:
    unknown = [name for name in options if name not in RunOptions.__optional_keys__]
    if unknown:
        known = ", ".join(sorted(RunOptions.__optional_keys__))
        raise TypeError(
            f"{pattern.name} takes no argument {unknown[0]!r}; besides its own: {known}"
        )
    orchestrator = options.get("orchestrator") or default_orchestrator()
    workflow = workflow_of(pattern, question, options)
    try:
        return orchestrator.submit_workflow(workflow)
    except IllegalMoveError:
        # The run of that id has ended: its result is the answer.
        return orchestrator.get_workflow(workflow.id)


def _run(pattern: Pattern[R], question: JSONValue, options: RunOptions) -> R:
    workflow = _submit(pattern, question, options)
    on_text = options.get("on_text")
    if on_text is not None:
        for piece in workflow.stream():
            on_text(piece)
    return _read(pattern, workflow, workflow.result())


async def _arun(pattern: Pattern[R], question: JSONValue, options: RunOptions) -> R:
    workflow = await asyncio.to_thread(_submit, pattern, question, options)
    on_text = options.get("on_text")
    if on_text is not None:
        async for piece in workflow.stream():
            waits = on_text(piece)
            if inspect.isawaitable(waits):
                await waits
    return _read(pattern, workflow, await workflow)


def _read(pattern: Pattern[R], workflow: Workflow, output: JSONValue) -> R:
    try:
        return pattern.read(output)
    except ValidationError:
        raise InvalidWorkflowError(
            workflow.id, f"it is recorded, and was no {pattern.name}; give another id"
        ) from None
