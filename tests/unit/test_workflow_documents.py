"""Workflows in YAML: what is read, and errors that name the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyagent_orch import ConfigurationError, InvalidWorkflowError, RetryPolicy, load_workflow
from pyagent_orch.states import ExecutionPattern
from pyagent_orch.workflows import plan_workflow

WHOLE = """
name: Research
id: research-1
pattern: sequential
deadline: 600
metadata: {team: a}
tasks:
  - name: gather
    agent: demo.gather_files
    input: docs
    priority: 1
  - name: read
    agent: demo.read_text_file
    map: gather
    need: settled
    retry: {max_attempts: 2}
  - name: urgent
    instructions: You hurry
    when: {output: gather, path: [0, kind], is: urgent}
    input: "Hurry: {gather.output}"
  - name: write
    instructions: You write
    model: openai:gpt-5
    after: read
    input: {"text": "{read.output}"}
  - name: tell
    agent: alert
    on_failure: [gather]
  - name: inner
    workflow:
      name: Inner
      tasks:
        - {name: only, agent: echo, input: 1}
"""


def test_a_document_says_all_that_a_workflow_can() -> None:
    workflow = load_workflow(WHOLE)
    assert (workflow.name, workflow.id, workflow.deadline) == ("Research", "research-1", 600)
    assert workflow.pattern is ExecutionPattern.SEQUENTIAL
    assert workflow.metadata == {"team": "a"}
    gather, read, urgent, write, tell, inner = workflow.tasks
    assert gather.priority == 1
    assert (read.map, read.need, read.retry) == ("gather", "settled", RetryPolicy(max_attempts=2))
    assert write.agent.model == "openai:gpt-5"
    assert tell.on_failure == ["gather"]
    assert inner.agent.name == "Inner"
    plan = {one.name: one for one in plan_workflow(workflow).tasks}
    assert plan["urgent"].when is not None
    assert gather.id in plan["urgent"].parents
    assert read.id in plan["write"].parents
    assert "inner/only" in plan
    assert urgent.when is not None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: a\ntasks: []\n", "line 2: tasks: "),
        ("name: a\ntasks:\n  - name: b\n    agent: x\n    priorty: 3\n", "line 5: tasks.0.priorty"),
        ("name: a\ntasks:\n  - name: b\n    input: 1\n", "line 3: tasks.0: give one of `agent`"),
        (
            "name: a\ntasks:\n  - name: b\n    agent: x\n    priority: 11\n",
            "line 5: tasks.0.priority",
        ),
        (
            "name: a\ntasks:\n  - {name: b, agent: x}\n  - {name: b, agent: y}\n",
            "line 4: two tasks are named 'b'",
        ),
        ("name: a\ntasks:\n  - name: b\n   agent: x\n", "line 4: it is no YAML"),
        ("- 1\n- 2\n", "line 1: a workflow is a mapping"),
        ("name: a\npattern: circular\ntasks:\n  - {name: b, agent: x}\n", "line 2: pattern"),
        (
            "name: a\ntasks:\n  - name: b\n    agent: x\n    when: {output: c}\n",
            "line 5: tasks.0.when: give either `is` or `is_not`",
        ),
        ("name: !!python/object:os.system x\ntasks: 1\n", "it is no YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, says: str) -> None:
    with pytest.raises(InvalidWorkflowError, match="<text>") as caught:
        load_workflow(text)
    assert says in str(caught.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml: it cannot be read"):
        load_workflow(Path("gone.yaml"))
