"""Agents that fail until somebody mends what they need."""

from __future__ import annotations

from pathlib import Path

from pyagent_orch import current_run, register_agent


class MissingPartError(Exception):
    """What the agent needs is not there."""


@register_agent
def needs(value: dict[str, str]) -> str:
    """Append the task's name to the file `runs`; fail while the file `mended` is not there."""
    run = current_run()
    assert run is not None
    with Path(value["runs"]).open("a") as file:
        file.write(f"{run.name}\n")
    if not Path(value["mended"]).exists():
        raise MissingPartError(f"{run.name} needs a part")
    return "done"
