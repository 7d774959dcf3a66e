"""Messages delivered again and again, as a broker may: before, while and after their tasks run."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pyagent_orch import Orchestrator
from pyagent_orch.engine.message import build_message_template

PRIORITY_LIST = "agents\x06\x164"
"""Where messages of the usual queue and priority lie."""


@contextmanager
def redelivering(
    orch: Orchestrator,
    task_ids: Callable[[], Sequence[str]],
    rng: random.Random,
    *,
    copies: int = 4,
) -> Iterator[None]:
    """While the block runs, push messages of random tasks.

    Args:
        orch: an embedded orchestrator of the default namespace.
        task_ids: the tasks by now.
        rng: chooses.
        copies: how many messages for each task, on average.
    """
    store = orch._store
    text = build_message_template(orch._connection.client.app).text
    stop = threading.Event()

    def push() -> None:
        number = 0
        while number < copies * len(ids := task_ids()):
            task_id, number = rng.choice(ids), number + 1
            fields = {
                "id": task_id, "shadow": '"again"', "preview": '""', "priority": "4",
                "queue": '"agents"', "limits": "null,null", "tag": f"{task_id}:{number}",
            }  # fmt: skip
            message = text
            for name, value in fields.items():
                message = message.replace(f"@@{name}@@", value)
            store.client.lpush(PRIORITY_LIST, message)
            if stop.wait(0.002):
                break

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
