"""What a workflow and its tasks must be, each by itself: refused before anything is sent.

Pure. What hangs together, such as names and circles, is the plan's and the graph's to check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pyagent_orch.exceptions import InvalidWorkflowError
from pyagent_orch.models.checks import ID_PATTERN, is_seconds, is_text, is_whole, label, shown
from pyagent_orch.models.tasks import Task, reference
from pyagent_orch.states import ExecutionPattern

if TYPE_CHECKING:
    from pyagent_orch.workflows.workflow import Workflow

_NOT_OF_A_SUB_WORKFLOW: tuple[tuple[str, Callable[[Task], bool]], ...] = (
    ("input", lambda task: task.input is not None),
    ("map", lambda task: task.map is not None),
    ("timeout", lambda task: task.timeout is not None),
    ("retry", lambda task: task.retry is not None),
    ("delay", lambda task: task.delay > 0),
)


def check_workflow(workflow: Workflow) -> None:
    """Check a workflow that has just been built.

    Raises:
        InvalidWorkflowError: an argument is of the wrong kind or out of its range.
    """
    if not isinstance(workflow.id, str) or not ID_PATTERN.fullmatch(workflow.id):
        raise InvalidWorkflowError(
            label(workflow.id), "an id is 1 to 200 letters, digits and '_.:@-'"
        )
    if not is_text(workflow.name):
        raise InvalidWorkflowError(workflow.id, f"its name {shown(workflow.name)} is no text")
    deadline = workflow.deadline
    if deadline is not None and (not is_seconds(deadline) or deadline <= 0):
        raise InvalidWorkflowError(
            workflow.name, f"deadline {shown(deadline)} is not a number of seconds > 0"
        )
    if not is_whole(workflow.max_rounds) or workflow.max_rounds < 1:
        raise InvalidWorkflowError(
            workflow.name, f"max_rounds {shown(workflow.max_rounds)} is not a whole number >= 1"
        )


def pattern_of(workflow: str, pattern: ExecutionPattern | str | None) -> ExecutionPattern | None:
    """The execution pattern that an argument names.

    Raises:
        InvalidWorkflowError: there is none of this name.
    """
    if pattern is None:
        return None
    try:
        return ExecutionPattern(pattern)
    except ValueError:
        known = ", ".join(ExecutionPattern)
        raise InvalidWorkflowError(
            workflow, f"there is no execution pattern {shown(pattern)}; known: {known}"
        ) from None


def names_of(on: Iterable[Task | str] | Task | str) -> list[str]:
    """The ids or names that a value of `dependencies` holds."""
    # A lone text would be taken apart into letters.
    return [reference(one) for one in ([on] if isinstance(on, str | Task) else on)]


def check_in_workflow(task: Task, workflow: str) -> None:
    """Check what a task cannot have because it is in a workflow.

    Args:
        task: the task.
        workflow: the name of its workflow, for errors.

    Raises:
        InvalidWorkflowError: it has an argument that would mean nothing here.
    """
    if task.key is not None:
        raise InvalidWorkflowError(
            workflow,
            f"its task {task.name!r} has a key, which is for single tasks; the workflow's own id "
            "keeps it from being run twice",
        )
    if task.cancel_rest and task.need is None:
        raise InvalidWorkflowError(
            workflow, f"its task {task.name!r} has cancel_rest without need=, which says how many"
        )
    from pyagent_orch.workflows.workflow import Workflow

    if isinstance(task.agent, Workflow):
        _check_sub_workflow(task, task.agent, workflow)


def _check_sub_workflow(task: Task, inner: Workflow, workflow: str) -> None:
    for argument, is_set in _NOT_OF_A_SUB_WORKFLOW:
        if is_set(task):
            raise InvalidWorkflowError(
                workflow,
                f"its task {task.name!r} is a sub-workflow, which takes no {argument}=; give it to "
                f"the tasks of {inner.name!r}",
            )
    for argument in ("deadline", "callback"):
        if getattr(inner, argument) is not None:
            raise InvalidWorkflowError(
                workflow,
                f"its sub-workflow {inner.name!r} has a {argument}, which only the whole can have",
            )
