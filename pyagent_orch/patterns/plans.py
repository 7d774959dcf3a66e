"""A supervisor's plan and review: what is asked for, and how the answers are read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyagent_orch.models.checks import is_whole
from pyagent_orch.models.values import JSONValue
from pyagent_orch.patterns.answers import (
    READ,
    TwiceError,
    clean,
    json_objects,
    text_of,
    unwrapped,
)

MOST_ASSIGNMENTS = 50


class PlanError(ValueError):
    """A plan makes no sense; the text says why, for the supervisor."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One piece of work in a plan."""

    agent: str
    request: str
    after: tuple[int, ...] = ()
    """Places in the plan, from 1, of the work that it waits for."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a supervisor said of the work."""

    final: str
    send_back: tuple[tuple[int, str], ...] = ()
    """Places in the plan, from 1, and what to change."""


def plan_schema(agents: Sequence[str]) -> dict[str, Any]:
    """What a planning model is asked to answer."""
    example = [
        {"agent": name, "request": "Your part of the task.", "after": [place] if place else []}
        for place, name in enumerate(agents[:MOST_ASSIGNMENTS])
    ]
    assignment = {
        "type": "object",
        "properties": {
            "agent": {"type": "string", "enum": list(agents)},
            "request": {"type": "string", "description": "What to do; complete in itself."},
            "after": {
                "type": "array",
                "items": {"type": "integer", "minimum": 1, "maximum": MOST_ASSIGNMENTS},
                "description": "Numbers (from 1) of the assignments whose answers it needs.",
                "default": [],
            },
        },
        "required": ["agent", "request"],
    }
    return {
        "title": "Plan",
        "type": "object",
        "properties": {
            "assignments": {
                "type": "array",
                "items": assignment,
                "minItems": 1,
                "maxItems": MOST_ASSIGNMENTS,
                "examples": [example],
            }
        },
        "required": ["assignments"],
    }


REVIEW_SCHEMA: dict[str, Any] = {
    "title": "Review",
    "type": "object",
    "properties": {
        "final": {"type": "string", "description": "The final answer, complete in itself."},
        "send_back": {
            "type": "array",
            "description": "Work that must be done again; empty if the answer is final.",
            "items": {
                "type": "object",
                "properties": {
                    "assignment": {"type": "integer", "minimum": 1, "maximum": MOST_ASSIGNMENTS},
                    "feedback": {"type": "string", "description": "What to change."},
                },
                "required": ["assignment", "feedback"],
            },
            "maxItems": MOST_ASSIGNMENTS,
            "default": [],
        },
    },
    "required": ["final"],
}
"""What a reviewing model is asked to answer."""


def read_plan(answer: JSONValue, agents: Sequence[str]) -> list[Assignment]:
    """Read a plan and check it against the agents there are.

    Args:
        answer: an object by `plan_schema`, a list of assignments, or JSON in text.
        agents: the names that work can be given to.

    Raises:
        PlanError: it is none, or cannot be carried out.
    """
    entries = _entries(answer)
    if not isinstance(entries, list) or not entries:
        raise PlanError("it has no list `assignments` with at least one entry")
    if len(entries) > MOST_ASSIGNMENTS:
        raise PlanError(f"it has {len(entries)} assignments, more than {MOST_ASSIGNMENTS}")
    plan = [_assignment(place, one, agents, len(entries)) for place, one in enumerate(entries, 1)]
    in_order(plan)
    return plan


def _entries(answer: JSONValue) -> object:
    if isinstance(answer, str):
        if len(answer) > READ:
            raise PlanError(f"it has more than {READ} characters")
        try:
            objects, _ = json_objects(answer)
        except TwiceError:
            raise PlanError("a key stands twice in its JSON") from None
        holding = [one for one in objects if "assignments" in one]
        if len(holding) != 1:
            raise PlanError("it is not one JSON object with a list `assignments`")
        return holding[0]["assignments"]
    if isinstance(answer, dict):
        return answer.get("assignments", unwrapped(answer).get("assignments"))
    return answer


def _assignment(place: int, entry: object, agents: Sequence[str], count: int) -> Assignment:
    if not isinstance(entry, dict):
        raise PlanError(f"assignment {place} is no object")
    agent, request = entry.get("agent"), entry.get("request")
    if agent not in agents:
        shown = clean(str(agent), 80)
        raise PlanError(f"assignment {place} is for {shown!r}, but there is {', '.join(agents)}")
    if not isinstance(request, str) or not request.strip():
        raise PlanError(f"assignment {place} has no text `request`")
    after = entry.get("after") or []
    if not isinstance(after, list) or not all(is_whole(one) and 1 <= one <= count for one in after):
        raise PlanError(f"`after` of assignment {place} is no list of numbers from 1 to {count}")
    return Assignment(str(agent), clean(request), tuple(dict.fromkeys(after)))


def in_order(plan: Sequence[Assignment]) -> list[int]:
    """The places in the plan, from 1, each after those that it waits for.

    Raises:
        PlanError: assignments wait for each other in a circle.
    """
    order: list[int] = []
    left = dict(enumerate(plan, 1))
    while left:
        ready = [place for place, one in left.items() if not any(on in left for on in one.after)]
        if not ready:
            circle = ", ".join(str(place) for place in left)
            raise PlanError(f"assignments {circle} wait for each other")
        order += ready
        for place in ready:
            del left[place]
    return order


def read_review(answer: JSONValue, count: int) -> Review:
    """Read what a supervisor said: an object by `REVIEW_SCHEMA`, or the final answer itself.

    Args:
        answer: what it answered.
        count: how many assignments there are; what names no such place is left out.
    """
    fields: Mapping[str, Any] = {}
    if isinstance(answer, dict):
        fields = answer if "final" in answer or "send_back" in answer else unwrapped(answer)
    elif isinstance(answer, str) and len(answer) <= READ:
        try:
            found = [one for one in json_objects(answer)[0] if "final" in one or "send_back" in one]
        except TwiceError:
            found = []
        fields = found[0] if len(found) == 1 else {}
    if "final" not in fields and "send_back" not in fields:
        return Review(text_of(answer))
    back = fields.get("send_back")
    entries = [one for one in (back if isinstance(back, list) else []) if isinstance(one, dict)]
    named = {
        one["assignment"]: clean(str(one.get("feedback", "")))
        for one in entries
        if is_whole(one.get("assignment")) and 1 <= one["assignment"] <= count
    }
    return Review(text_of(fields.get("final", "")), tuple(named.items()))
