"""The Celery message of a task, made once by Celery and filled in by the acts.

A signature of the one Celery task is sent through kombu's in-memory transport,
which shares its code for envelopes with the Redis transport; what arrives is
the message as it stands in a Redis list.
"""

from __future__ import annotations

import json
from typing import Any

from celery import Celery
from kombu.connection import Connection

from pyagent_orch.store import MessageTemplate

RUN_TASK = "pyagent_orch.run"
"""The name of the one Celery task that runs any agent."""


def build_message_template(app: Celery) -> MessageTemplate:
    """Have Celery make the message and put gaps into it.

    Args:
        app: an app in which `RUN_TASK` is registered.
    """
    signature = app.signature(RUN_TASK)
    with Connection("memory://") as connection:
        signature.apply_async(
            connection=connection,
            task_id="@@id@@",
            shadow="@@shadow@@",
            argsrepr="@@preview@@",
            kwargsrepr="",
            # Any number the rest of the message does not hold.
            time_limit=987_654_321,
            soft_time_limit=123_456_789,
            queue="message-template",
            ignore_result=True,
            retry=False,
        )
        channel = connection.default_channel
        envelope: dict[str, Any] = channel._get("message-template")  # noqa: SLF001 - the raw form
    return MessageTemplate(_with_gaps(envelope))


def _with_gaps(envelope: dict[str, Any]) -> str:
    headers, properties = envelope["headers"], envelope["properties"]
    properties["delivery_tag"] = "@@tag@@"
    properties["priority"] = "@@priority@@"
    properties["delivery_info"] = {"exchange": "", "routing_key": "@@queue@@"}
    headers["timelimit"] = "@@limits@@"
    # Who made the template says nothing about who sends a task; nor do its stamps.
    headers["origin"] = "pyagent_orch"
    text = json.dumps(envelope)
    # These bring their own quotes, or are no strings.
    for gap in ("shadow", "preview", "queue", "priority"):
        text = text.replace(f'"@@{gap}@@"', f"@@{gap}@@")
    return text.replace('"@@limits@@"', "[@@limits@@]")
