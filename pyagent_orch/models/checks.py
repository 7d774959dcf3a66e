"""What a task's arguments must be: refused where the user wrote them, not in a worker.

Model layer, pure. Knows single values only; what hangs together is the planner's
and the dispatcher's to check.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyagent_orch.exceptions import InvalidTaskError
from pyagent_orch.models.retry import RetryPolicy
from pyagent_orch.models.values import JSONValue
from pyagent_orch.states import TaskStatus

if TYPE_CHECKING:
    from pyagent_orch.models.tasks import Task

HIGHEST_PRIORITY, LOWEST_PRIORITY, DEFAULT_PRIORITY = 1, 10, 5
SETTLED = "settled"
"""What `need=` says when all must only be final, in whichever state."""
MOST_ATTEMPTS = 1000
LONGEST_SHOWN = 80
LONGEST_SECONDS = 10 * 365 * 86_400
"""Ten years: the most that a timeout or a delay can be; clocks overflow later."""
ID_PATTERN = re.compile(r"[A-Za-z0-9_.:@-]{1,200}")
_QUEUE_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def check_task(task: Task, status: object) -> None:
    """Check a task that has just been built.

    Args:
        task: the task.
        status: the state that it was built with.

    Raises:
        InvalidTaskError: an argument is of the wrong kind or out of its range.
    """
    if not isinstance(task.id, str) or not ID_PATTERN.fullmatch(task.id):
        raise InvalidTaskError(label(task.id), "an id is 1 to 200 letters, digits and '_.:@-'")
    if not is_text(task.name):
        raise InvalidTaskError(task.id, f"its name {shown(task.name)} is no text, or is empty")
    if status != TaskStatus.PENDING:
        raise InvalidTaskError(task.name, f"a task is built with status PENDING, not {status}")
    for argument, fits, wanted in _ARGUMENTS:
        value = getattr(task, argument)
        # Most are not given.
        if (value is not None or argument in _NEEDED) and not fits(value):
            raise InvalidTaskError(task.name, f"{argument} {shown(value)} is not {wanted}")


def metadata_of(name: object, metadata: Mapping[str, JSONValue] | None) -> dict[str, JSONValue]:
    """A task's own copy of its metadata.

    Raises:
        InvalidTaskError: it is no mapping with text as keys.
    """
    if metadata is None:
        return {}
    # JSON would make a text of any other key, and a search for it find nothing.
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        raise InvalidTaskError(label(name), "metadata is not a dictionary with text as keys")
    return dict(metadata)


def policy_of(name: object, retry: RetryPolicy | int | None) -> RetryPolicy | None:
    """The policy that a `retry=` argument means.

    Raises:
        InvalidTaskError: it is neither a policy nor a number of attempts.
    """
    if retry is None or isinstance(retry, RetryPolicy):
        return retry
    if not is_whole(retry) or not 1 <= retry <= MOST_ATTEMPTS:
        raise InvalidTaskError(
            label(name),
            f"retry {shown(retry)} is neither a RetryPolicy nor a number of attempts from 1 to "
            f"{MOST_ATTEMPTS}",
        )
    return RetryPolicy(max_attempts=retry)


def shown(value: object) -> str:
    """A wrong value for an error's text: short, and printable whatever it is."""
    text = ascii(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def label(name: object) -> str:
    """What stands in an error for the name or id of something, which may be no text at all."""
    text = name if isinstance(name, str) else ascii(name)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def is_whole(value: object) -> bool:
    """Whether it is a whole number; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_seconds(value: object) -> bool:
    """Whether it is a time from 0 to ten years."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= LONGEST_SECONDS
    )


def is_text(value: object) -> bool:
    """Whether it is a text that can be sent: not empty, and no half characters in it."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_ARGUMENTS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "priority",
        lambda value: is_whole(value) and HIGHEST_PRIORITY <= value <= LOWEST_PRIORITY,
        f"a whole number from {HIGHEST_PRIORITY} (highest) to {LOWEST_PRIORITY}",
    ),
    (
        "timeout",
        lambda value: is_seconds(value) and value > 0,
        "a number of seconds > 0, at most ten years",
    ),
    ("delay", is_seconds, "a number of seconds >= 0, at most ten years"),
    (
        "queue",
        lambda value: is_text(value) and bool(_QUEUE_PATTERN.fullmatch(value)),
        "1 to 64 letters, digits and '_.-'",
    ),
    ("key", is_text, "a text that is not empty"),
    (
        "callback",
        callable,
        "a function of one argument, the task",
    ),
    (
        "need",
        lambda value: value == SETTLED or (is_whole(value) and value >= 1),
        "a whole number >= 1, or 'settled'",
    ),
)
"""A task's argument, what it must satisfy if it is given, and that in words."""
_NEEDED = ("priority", "delay")
"""Those of them that cannot be None."""
