"""Agents of the fault suite: a run leaves a line in a file when it starts and when it ends."""

from __future__ import annotations

import json
import os
import time
from typing import Any
from uuid import uuid4

from pyagent_orch import current_run, register_agent


def _note(path: str, what: str, **more: Any) -> None:
    run = current_run()
    assert run is not None
    line = {"id": run.task_id, "what": what, "at": time.monotonic(), "pid": os.getpid(), **more}
    # One write of a short line: whole, however many processes append.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


@register_agent
def noted(value: dict[str, Any]) -> str:
    """Take `value["seconds"]`; the answer is another one in each run, as a model's would be."""
    answer = uuid4().hex
    _note(value["log"], "start")
    time.sleep(value["seconds"])
    _note(value["log"], "end", answer=answer)
    return answer


@register_agent
def differing(value: str) -> str:
    """Say it behind other words in each run, so that a second answer would be seen."""
    return f"{uuid4().hex} {value}"
