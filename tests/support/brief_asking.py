"""A worker that imports this (PYAGENT_ORCH_AGENTS) soon stops to send what nobody asks for."""

from __future__ import annotations

from pyagent_orch.engine import task_events

task_events.ASKED_SECONDS = 1.0
task_events.LOOK_SECONDS = 0.1
