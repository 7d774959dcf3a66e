"""Agents of the web tests, for the embedded worker of the test's own process."""

from __future__ import annotations

import threading

from pyagent_orch import current_run, register_agent

GATES: dict[str, threading.Event] = {}
"""What `web_gate` waits for, by its input."""


@register_agent("web_shout")
def shout(text: str) -> str:
    return str(text).upper()


@register_agent("web_echo")
def echo(value: object) -> object:
    return value


@register_agent("web_break")
def break_down(text: str) -> str:
    raise ValueError(str(text))


@register_agent("web_gate")
def gate(name: str) -> str:
    GATES.setdefault(name, threading.Event()).wait(20)
    return f"through {name}"


@register_agent("web_writer")
def writer(parts: list[str]) -> str:
    """Writes its parts, one each time that its gate, the first of them, is opened."""
    gate = GATES.setdefault(parts[0], threading.Event())
    for part in parts[1:]:
        assert gate.wait(20)
        gate.clear()
        current_run().write(part)
    assert gate.wait(20)
    return "".join(parts[1:])
