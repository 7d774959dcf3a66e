"""The checks of what a job is made of. Pure; each error names the argument."""

from __future__ import annotations

import math
from collections.abc import Mapping
from zoneinfo import ZoneInfo

from pyagent_orch.exceptions import ScheduleError
from pyagent_orch.models.checks import LONGEST_SECONDS
from pyagent_orch.models.tasks import Task
from pyagent_orch.schedules.timing import Kind
from pyagent_orch.workflows import Workflow

_GIVEN_BY = {"once": "run_at", "interval": "interval_seconds", "cron": "cron"}


def name_of_work(task: object, workflow: object) -> str:
    """The name of the one thing that a job runs; refuses what cannot be run again and again."""
    if (task is None) == (workflow is None):
        raise ScheduleError("task", "give either a task or a workflow")
    if isinstance(task, Task):
        if task.is_live:
            raise ScheduleError("task", f"{task.name!r} has been submitted; give a new Task")
        if task.key is not None:
            raise ScheduleError("task", f"{task.name!r} has a key, so all runs would be one task")
        return task.name
    if isinstance(workflow, Workflow):
        if workflow.is_live:
            raise ScheduleError("workflow", f"{workflow.name!r} has been submitted; give a new one")
        return workflow.name
    kind, given = ("Task", task) if task is not None else ("Workflow", workflow)
    raise ScheduleError(kind.lower(), f"is of type {type(given).__name__}; give a {kind}")


def checked_kind(wanted: str | None, given: Mapping[str, object]) -> Kind:
    """The kind of schedule, of which exactly one must be given."""
    kinds = [kind for kind, value in given.items() if value is not None]
    if wanted is not None and wanted not in given:
        raise ScheduleError("schedule_type", f"{wanted!r} is not one of {', '.join(given)}")
    if not kinds:
        fields = _GIVEN_BY[wanted] if wanted else "one of run_at, interval_seconds and cron"
        raise ScheduleError(_GIVEN_BY[wanted] if wanted else "schedule_type", f"give {fields}")
    if len(kinds) > 1:
        fields = " and ".join(_GIVEN_BY[kind] for kind in kinds)
        raise ScheduleError("schedule_type", f"{fields} are given; a job has one kind of schedule")
    if wanted is not None and kinds[0] != wanted:
        raise ScheduleError(
            _GIVEN_BY[kinds[0]],
            f"does not go with schedule_type {wanted!r}; give {_GIVEN_BY[wanted]}",
        )
    kind: Kind = kinds[0]  # type: ignore[assignment] # one of the keys of `given`
    return kind


def checked_zone(name: object) -> ZoneInfo:
    """A time zone by its name."""
    try:
        return ZoneInfo(name)  # type: ignore[arg-type] # whatever was given
    except (LookupError, ValueError, TypeError, OSError):
        raise ScheduleError(
            "timezone", f"there is no time zone {name!r}; names look like 'Europe/Berlin'"
        ) from None


def checked_one_of(field: str, value: object, known: tuple[str, ...]) -> str:
    """One of some words."""
    if value not in known:
        raise ScheduleError(field, f"{value!r} is not one of {', '.join(known)}")
    return str(value)


def checked_whole(field: str, value: object, largest: int | None = None) -> int | None:
    """A whole number from 1 on, or to the largest; None stays None."""
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < 1
        or (largest is not None and value > largest)
    ):
        end = "on" if largest is None else f"to {largest:,}"
        raise ScheduleError(field, f"{value!r} is no whole number from 1 {end}")
    return value


def checked_seconds(field: str, value: object, *, smallest: float) -> float:
    """A number of seconds, from the smallest to ten years."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not smallest <= value <= LONGEST_SECONDS
    ):
        raise ScheduleError(
            field, f"{value!r} is no number of seconds from {smallest:g} to {LONGEST_SECONDS:g}"
        )
    return float(value)
