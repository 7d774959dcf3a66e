"""The states and the table of moves, by themselves."""

from __future__ import annotations

import pytest

from pyagent_orch import ExecutionPattern, TaskStatus, WorkflowStatus
from pyagent_orch.states import FINAL_TASK_STATES, FINAL_WORKFLOW_STATES, TASK_MOVES


@pytest.mark.parametrize("kind", [TaskStatus, WorkflowStatus, ExecutionPattern])
def test_a_state_is_its_name_in_lower_case(kind: type[TaskStatus]) -> None:
    for member in kind:
        assert member == member.value == member.name.lower() == str(member)
        assert kind(member.value) is member


def test_there_are_the_states_that_users_are_promised() -> None:
    wanted = "PENDING RUNNING RETRYING COMPLETED FAILED CANCELLED SKIPPED"
    assert [status.name for status in TaskStatus] == wanted.split()
    assert [s.name for s in WorkflowStatus] == [
        "PENDING",
        "RUNNING",
        "COMPLETED",
        "FAILED",
        "CANCELLED",
    ]
    assert [p.name for p in ExecutionPattern] == (
        ["SEQUENTIAL", "PARALLEL", "SUPERVISOR", "COLLABORATIVE"]
    )


def test_every_state_has_its_moves_and_none_to_itself() -> None:
    assert set(TASK_MOVES) == set(TaskStatus)
    assert all(status not in targets for status, targets in TASK_MOVES.items())


def test_a_completed_task_never_moves_again() -> None:
    assert TASK_MOVES[TaskStatus.COMPLETED] == frozenset()


def test_a_final_state_is_left_for_pending_only() -> None:
    for status in FINAL_TASK_STATES - {TaskStatus.COMPLETED}:
        assert TASK_MOVES[status] == {TaskStatus.PENDING}


def test_running_is_entered_from_waiting_states_only() -> None:
    into = {status for status, targets in TASK_MOVES.items() if TaskStatus.RUNNING in targets}
    assert into == {TaskStatus.PENDING, TaskStatus.RETRYING}


def test_every_state_can_be_reached_and_every_task_can_end() -> None:
    reached = {TaskStatus.PENDING}
    while new := {t for s in reached for t in TASK_MOVES[s]} - reached:
        reached |= new
    assert reached == set(TaskStatus)
    for status in TaskStatus:
        assert status.is_final or TASK_MOVES[status] & FINAL_TASK_STATES


def test_is_final_agrees_with_the_sets() -> None:
    assert {s for s in TaskStatus if s.is_final} == FINAL_TASK_STATES
    assert {s for s in WorkflowStatus if s.is_final} == FINAL_WORKFLOW_STATES
