"""What has to be right about a message before Celery may see it.

kombu's transport ends the worker on a message that is not JSON and stops
consuming on one without an id (measured, see docs/architecture.md). Pure: says
what is wrong, and does nothing about it.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from datetime import datetime
from typing import Any

from pyagent_orch.engine.message import RUN_TASK

_ENVELOPE = ("headers", "properties", "body", "content-type")
_OPTIONS = {"callbacks": list, "errbacks": list, "chain": list, "chord": dict}
"""What of a canvas a message carries."""
_HEADERS: dict[str, type] = {
    **dict.fromkeys(("shadow", "argsrepr", "kwargsrepr", "origin", "lang"), str),
    **dict.fromkeys(("root_id", "parent_id", "group"), str),
    **dict.fromkeys(("retries", "group_index", "replaced_task_nesting"), int),
    "ignore_result": bool,
    "stamped_headers": list,
    "stamps": dict,
}
_PROPERTIES: dict[str, type] = {"correlation_id": str, "reply_to": str, "priority": int}
"""What Celery takes on trust: where it is there, it has to be of this type."""


def damage(text: str) -> str | None:
    """Say what is wrong with a message, or None when Celery can take it.

    Args:
        text: the message as it stood in the queue.
    """
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError):
        return "it is not JSON"
    return damage_of(envelope)


def damage_of(envelope: Any, *, is_task: bool = True) -> str | None:
    """The same of a message that is parsed already.

    Args:
        envelope: what the text says.
        is_task: whether there has to be a task in it.
    """
    if not isinstance(envelope, dict) or any(part not in envelope for part in _ENVELOPE):
        return "it is not a kombu envelope"
    headers, properties = envelope["headers"], envelope["properties"]
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        return "its headers or properties are no objects"
    named = all(isinstance(headers.get(name), str) and headers[name] for name in ("id", "task"))
    if is_task and not named:
        return "it has no task name or id"
    delivery = properties.get("delivery_info")
    if not isinstance(properties.get("delivery_tag"), str) or not isinstance(delivery, dict):
        return "it has no delivery tag or delivery info"
    if not all(isinstance(delivery.get(name), str) for name in ("exchange", "routing_key")):
        return "its delivery info names no exchange and routing key"
    if envelope["content-type"] != "application/json":
        return f"its content type is {str(envelope['content-type'])[:40]!r}, not application/json"
    if envelope.get("content-encoding") != "utf-8":
        return "its content encoding is not utf-8"
    if not is_task:
        return None
    return _damaged_headers(headers, properties) or _damaged_body(
        envelope["body"], properties.get("body_encoding"), headers["task"]
    )


def _damaged_headers(headers: dict[str, Any], properties: dict[str, Any]) -> str | None:
    """What Celery takes on trust; some of it ends the worker when it is wrong."""
    limits = headers.get("timelimit", [None, None])
    if (
        not isinstance(limits, list)
        or len(limits) != len(("hard", "soft"))
        or not all(limit is None or _is_number(limit) for limit in limits)
    ):
        return "its time limits are not two numbers"
    if headers.get("compression"):
        return "it is compressed"
    for part, wanted in ((headers, _HEADERS), (properties, _PROPERTIES)):
        for name, kind in wanted.items():
            value = part.get(name)
            if value is not None and not isinstance(value, kind):
                return f"its {name} is no {kind.__name__}"
    if not all(_is_time(headers.get(name)) for name in ("eta", "expires")):
        return "its eta or its expiry is no time"
    if not all(isinstance(name, str) for name in headers.get("stamped_headers") or ()):
        return "its stamped_headers are no names"
    return None


def _is_number(value: object) -> bool:
    # JSON as Python reads it knows NaN and infinity.
    return isinstance(value, int | float) and math.isfinite(value)


def _is_time(value: object) -> bool:
    if value is None:
        return True
    try:
        datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True


def _damaged_body(body: object, encoding: object, task: str) -> str | None:
    if not isinstance(body, str):
        return "its body is no text"
    try:
        raw = base64.b64decode(body, validate=True) if encoding == "base64" else body
        parts = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        return "its body cannot be decoded"
    shape = (list, dict, dict)
    if (
        not isinstance(parts, list)
        or len(parts) != len(shape)
        or not all(isinstance(part, kind) for part, kind in zip(parts, shape, strict=True))
    ):
        return "its body is not [arguments, keyword arguments, options]"
    arguments, named, options = parts
    if task == RUN_TASK and (named or len(arguments) > 1):
        return "it has arguments that no message of its task has"
    for name, kind in _OPTIONS.items():
        value = options.get(name)
        signatures = value if isinstance(value, list) else [value]
        if value is not None and (
            not isinstance(value, kind) or not all(_is_signature(one) for one in signatures)
        ):
            return f"its {name} is not made of signatures"
    return None


def _is_signature(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("task"), str)
