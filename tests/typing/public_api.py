"""What a type checker knows of the public names; checked by `make types`, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import assert_type

from pyagent_orch import (
    Agent,
    AgentPatterns,
    ChainOfThoughtResult,
    Consensus,
    ConsensusResult,
    DebateResult,
    Event,
    Orchestrator,
    RetryPolicy,
    Settings,
    SupervisorResult,
    Task,
    TaskStatus,
    TextPiece,
    TextStream,
    Usage,
    Workflow,
    agent,
    register_agent,
)


@register_agent
def shout(text: str) -> str:
    return text.upper()


@register_agent("whisper")
async def whisper(text: str) -> str:
    return text.lower()


def a_registered_function_keeps_its_type() -> None:
    assert_type(shout("a"), str)


async def a_registered_coroutine_function_keeps_its_type() -> None:
    assert_type(await whisper("a"), str)


def an_orchestrator_gives_live_tasks(settings: Settings) -> None:
    with Orchestrator(settings=settings) as orchestrator:
        assert_type(orchestrator, Orchestrator)
        task = orchestrator.submit(agent("You are kind."), "Hello", retry=RetryPolicy())
        assert_type(task, Task)
        assert_type(orchestrator.submit_many([Task(shout, "a")]), list[Task])
        assert_type(orchestrator.status(task.id), TaskStatus)
        assert_type(orchestrator.get_task(task.id), Task)
        assert_type(orchestrator.cancel(task.id), bool)
        assert_type(orchestrator.events(), Iterator[Event])
        assert_type(task.wait(), Task)
        assert_type(task.status, TaskStatus)
        assert_type(task.error, str | None)
        assert_type(task.started_at, datetime | None)
        assert_type(task.usage, Usage | None)
        assert_type(task.stream(after="1.1:4"), TextStream)
        assert_type([piece.id for piece in task.stream()], list[str])


async def text_is_streamed_without_blocking(task: Task, workflow: Workflow) -> None:
    async for piece in task.stream(timeout=1):
        assert_type(piece, TextPiece)
    assert_type([piece.text async for piece in workflow.stream()], list[str])


async def an_orchestrator_can_be_awaited() -> None:
    async with Orchestrator() as orchestrator:
        assert_type(orchestrator, Orchestrator)
        assert_type(await orchestrator.asubmit(shout, "a"), Task)
        assert_type(await orchestrator.aget_task("t"), Task)
        assert_type(await orchestrator.astatus("t"), TaskStatus)
        assert_type(await orchestrator.acancel("t"), bool)
        assert_type(await orchestrator.aretry("t"), Task)
        assert_type(await orchestrator.aget_workflow("w"), Workflow)
        assert_type(orchestrator.aevents(), AsyncIterator[Event])


async def each_pattern_has_its_own_result(team: list[Agent]) -> None:
    one = team[0]
    assert_type(AgentPatterns.supervisor("x", team), SupervisorResult)
    assert_type(AgentPatterns.consensus("x", team, threshold=0.66), ConsensusResult)
    assert_type(AgentPatterns.debate("x", one, one, one, rounds=3), DebateResult)
    assert_type(AgentPatterns.chain_of_thought("x", one, ["a"]), ChainOfThoughtResult)
    assert_type(await AgentPatterns.aconsensus("x", team, limits={"turns": 3}), ConsensusResult)
    assert_type(Consensus(agents=team).read({}), ConsensusResult)


def an_agent_is_made_of_instructions() -> None:
    assert_type(agent("You are kind."), Agent)
