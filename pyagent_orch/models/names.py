"""What a task is called when the user does not say: its id, and its name for people."""

from __future__ import annotations

from os import urandom


def new_id() -> str:
    """A random UUID (RFC 9562, version 4), in less than half the time of `str(uuid4())`."""
    digits = urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def name_of(agent: object, task_id: str) -> str:
    """The agent's name, or one made of the id."""
    if isinstance(agent, str):
        return agent
    name = getattr(agent, "name", None) or getattr(agent, "__name__", None)
    if isinstance(name, str) and name and name != "<lambda>":
        return name
    return f"task-{task_id[:8]}"
