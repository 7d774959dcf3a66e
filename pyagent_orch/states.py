"""The states of tasks and workflows and the moves between them.

Ground layer, standard library only. The moves are enforced by the Lua acts of
`store/scripts`; the table here is what they are tested against.
"""

from enum import StrEnum


class TaskStatus(StrEnum):
    """The state of a task, as it stands in its record."""

    PENDING = "pending"
    """Recorded; waits for its queue, for its delay, or for the tasks it depends on."""
    RUNNING = "running"
    """A worker holds it under a lease."""
    RETRYING = "retrying"
    """An attempt failed; the next one waits for its delay."""
    COMPLETED = "completed"
    """The output is recorded; it never changes again."""
    FAILED = "failed"
    """The attempts are used up; `error` says why."""
    CANCELLED = "cancelled"
    """Somebody cancelled it."""
    SKIPPED = "skipped"
    """It never ran, because a task it depends on did not complete or its condition was false."""

    @property
    def is_final(self) -> bool:
        """Whether a task in this state stays in it, unless somebody retries it."""
        return self in FINAL_TASK_STATES


FINAL_TASK_STATES = frozenset(
    {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.SKIPPED}
)

RETRIABLE_STATES = FINAL_TASK_STATES - {TaskStatus.COMPLETED}
"""Final states that somebody's retry leaves again."""

TASK_MOVES: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.PENDING: frozenset(
        {
            TaskStatus.RUNNING,
            TaskStatus.CANCELLED,
            TaskStatus.SKIPPED,
            TaskStatus.FAILED,
            # An attempt that was taken for dead has answered after all.
            TaskStatus.COMPLETED,
        }
    ),
    TaskStatus.RUNNING: frozenset(
        {
            TaskStatus.COMPLETED,
            TaskStatus.FAILED,
            TaskStatus.RETRYING,
            TaskStatus.CANCELLED,
            TaskStatus.SKIPPED,
            # Handed back: its worker stopped or was lost.
            TaskStatus.PENDING,
        }
    ),
    TaskStatus.RETRYING: frozenset(
        {
            TaskStatus.RUNNING,
            TaskStatus.CANCELLED,
            TaskStatus.SKIPPED,
            TaskStatus.FAILED,
            # As from PENDING.
            TaskStatus.COMPLETED,
        }
    ),
    TaskStatus.COMPLETED: frozenset(),
    # Only by `Orchestrator.retry`.
    TaskStatus.FAILED: frozenset({TaskStatus.PENDING}),
    TaskStatus.CANCELLED: frozenset({TaskStatus.PENDING}),
    TaskStatus.SKIPPED: frozenset({TaskStatus.PENDING}),
}
"""Maps a state to the states that an act may move a task to."""


class WorkflowStatus(StrEnum):
    """The state of a workflow."""

    PENDING = "pending"
    """Built, or recorded with no task started."""
    RUNNING = "running"
    """At least one task has started."""
    COMPLETED = "completed"
    """Every task is final and none failed; some may have been skipped by their condition."""
    FAILED = "failed"
    """Every task is final and at least one failed; `error` names the first."""
    CANCELLED = "cancelled"
    """Somebody cancelled it, or its deadline passed."""

    @property
    def is_final(self) -> bool:
        """Whether a workflow in this state stays in it, unless somebody retries it."""
        return self in FINAL_WORKFLOW_STATES


FINAL_WORKFLOW_STATES = frozenset(
    {WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED}
)


class ExecutionPattern(StrEnum):
    """How the tasks of a workflow follow each other."""

    SEQUENTIAL = "sequential"
    """One at a time, in an order that respects the dependencies, else as listed."""
    PARALLEL = "parallel"
    """All that is independent at once."""
    SUPERVISOR = "supervisor"
    """The first task's agent sees the others' outputs and gives the final one."""
    COLLABORATIVE = "collaborative"
    """The agents work on one shared draft in turn until it no longer changes."""
