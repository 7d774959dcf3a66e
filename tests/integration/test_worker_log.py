"""A worker's log on a terminal obeys nobody."""

from __future__ import annotations

from pyagent_orch import TaskStatus
from support.fleet import Fleet, until


def test_a_hostile_name_or_error_reaches_the_log_escaped(fleet: Fleet) -> None:
    worker = fleet.start("threads", 1)
    title = "\x1b]0;owned\x07"
    task = fleet.orchestrator.submit("fail", f"boom {title}", name=f"nice {title}")
    assert task.wait(20).status is TaskStatus.FAILED
    log = until(lambda: (text := worker.text()).count("Traceback") and text)
    assert "\x1b" not in log
    assert "\x07" not in log
    assert "boom \\x1b]0;owned\\x07" in log
    assert "ValueError" in log
