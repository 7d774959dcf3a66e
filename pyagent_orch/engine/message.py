"""The Celery message of a task, made once by Celery and filled in by the acts.

A signature of the one Celery task is sent through kombu's in-memory transport,
which shares its code for envelopes with the Redis transport; what arrives is
the message as it stands in a Redis list.
"""

from __future__ import annotations

import base64
import json
from typing import Any, ClassVar

from celery import Celery
from kombu.connection import Connection

from pyagent_orch.store import CLAIM_FIELDS, MessageTemplate, TakenTask, delivery_limits

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
            # Whatever the app's plain Celery tasks are sent as.
            serializer="json",
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


class Envelopes:
    """Makes the messages of tasks that were claimed as they were taken.

    What stood in the queue is not looked at: all is made anew from the record.

    Args:
        template: as the acts fill it in.
    """

    CLAIM: ClassVar[str] = "pyagent_claim"
    """The header that carries a claim, from the worker's event loop to the pool."""

    def __init__(self, template: MessageTemplate) -> None:
        text = template.text
        for gap in ("shadow", "preview", "queue", "priority", "limits"):
            text = text.replace(f"@@{gap}@@", "null")
        envelope: dict[str, Any] = json.loads(text)
        # Decoded once for all: there is nothing in it.
        body = json.loads(base64.b64decode(envelope["body"]))
        self._envelope = envelope | {"body": body, "content-type": None, "content-encoding": None}
        envelope["properties"]["body_encoding"] = None
        self._headers: dict[str, Any] = envelope["headers"]
        self._properties: dict[str, Any] = envelope["properties"]

    def fill(self, task: TakenTask) -> dict[str, Any]:
        """The message of a task, as kombu would have read it."""
        task_id, queue = task.id, task.queue
        priority, preview = task.wire[1][_PRIORITY], task.shown
        headers = self._headers | {
            "id": task_id,
            "root_id": task_id,
            "shadow": task.name,
            "argsrepr": preview,
            "timelimit": delivery_limits(task.timeout),
            self.CLAIM: task.wire,
        }
        properties = self._properties | {
            "correlation_id": task_id,
            "argsrepr": preview,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": int(priority or 1) - 1,
            "delivery_tag": task.tag,
        }
        return {**self._envelope, "headers": headers, "properties": properties}


_PRIORITY = CLAIM_FIELDS.index("priority")
