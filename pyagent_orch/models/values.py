"""The values that may cross the wire, and how they are written.

Ground of the models. JSON only: nothing executable is ever in a message.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TypeAlias

JSONValue: TypeAlias = "bool | int | float | str | list[JSONValue] | dict[str, JSONValue] | None"


def to_json(value: object) -> str:
    """Write a value as compact JSON.

    pydantic models are written by their own rules; NaN and infinity are refused,
    since JSON has no word for them.

    Raises:
        TypeError: a part of the value has no JSON form.
        ValueError: NaN, infinity or a circle.
    """
    return _encode(value)


def _by_its_own_rules(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


# Made once: `json.dumps` with these options builds an encoder at every call.
_encode = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_by_its_own_rules
).encode


def from_ms(milliseconds: str | int | None) -> datetime | None:
    """Read a stored time; milliseconds since the epoch, UTC."""
    if milliseconds is None or milliseconds == "":
        return None
    return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC)
