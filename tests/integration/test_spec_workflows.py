"""The spec's snippets on workflows, as they stand in `tests/spec/`, run word for word.

Only the imports are changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import Orchestrator, Task, Workflow, WorkflowStatus, agent
from support.rehearsal import Rehearsal

SNIPPETS = Path(__file__).parents[1] / "spec"


@pytest.fixture
def orch() -> Iterator[Orchestrator]:
    with Orchestrator() as orchestrator:
        yield orchestrator


@pytest.fixture
def run(orch: Orchestrator) -> Callable[..., dict[str, Any]]:
    """Runs snippets one after the other in one namespace."""
    names: dict[str, Any] = {"__name__": "snippet", "orch": orch}

    def run_snippets(*snippets: str, **given: object) -> dict[str, Any]:
        names.update(given)
        for snippet in snippets:
            file = SNIPPETS / f"{snippet}.py"
            exec(compile(file.read_text(), file, "exec"), names)
        return names

    return run_snippets


def test_workflows_wait_as_their_dependencies_say(
    run: Callable[..., dict[str, Any]], orch: Orchestrator
) -> None:
    cast = Rehearsal()
    tasks = {name: cast.telling(name) for name in ("task1", "task2", "task3")}
    workflow: Workflow = run("workflows", **tasks)["workflow"]
    assert workflow.result(timeout=20) == [
        None,
        {"task1": [None, {}], "task2": [None, {"task1": [None, {}]}]},
    ]
    assert orch.get_workflow("workflow-001").status is WorkflowStatus.COMPLETED
    task1, task2, task3 = tasks.values()
    assert task1.completed_at <= task2.started_at
    assert task2.completed_at <= task3.started_at


def test_the_execution_patterns_run_one_workflow_in_four_ways(
    run: Callable[..., dict[str, Any]], orch: Orchestrator
) -> None:
    def build(name: str) -> Task:
        return Task(agent(f"You are {name}"), f"Work on {name}", name=name)

    run("workflows", **{name: build(name) for name in ("task1", "task2", "task3")})
    run("execution_patterns")
    runs = {found.pattern: found.wait(30) for found in orch.workflows()}
    assert set(runs) == {None, "sequential", "parallel", "supervisor", "collaborative"}
    assert {found.status for found in runs.values()} == {WorkflowStatus.COMPLETED}
    names = {pattern: [task.name for task in found.tasks] for pattern, found in runs.items()}
    own = ["task1", "task2", "task3"]
    assert names[None] == names["sequential"] == names["parallel"] == own
    # The others wait for the supervisor's first answer; its review is one more task.
    assert names["supervisor"][:4] == [*own, "Research Pipeline: review"]
    assert names["collaborative"][:4] == [*own, "Research Pipeline: draft"]
    assert "task3 round 2" in names["collaborative"]


def test_the_research_pipeline_hands_each_output_on(run: Callable[..., dict[str, Any]]) -> None:
    names = run(
        "research_pipeline",
        researcher=lambda text: f"sources for <{text}>",
        analyst=lambda text: f"analysis of <{text}>",
        writer=lambda text: f"report from <{text}>",
    )
    workflow: Workflow = names["workflow"]
    sources = "sources for <Find sources on topic X>"
    analysis = f"analysis of <Analyze: {sources}>"
    assert workflow.result(timeout=20) == f"report from <Write report based on: {analysis}>"
    assert workflow.outputs == {
        "Gather Sources": sources,
        "Analyze Sources": analysis,
        "Write Report": workflow.output,
    }


def test_the_research_pipeline_runs_with_model_agents(run: Callable[..., dict[str, Any]]) -> None:
    agents = {name: agent(f"You are a {name}") for name in ("researcher", "analyst", "writer")}
    workflow: Workflow = run("research_pipeline", **agents)["workflow"]
    assert "topic X" in workflow.result(timeout=30)
    assert workflow.usage.requests == 3
