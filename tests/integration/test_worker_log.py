"""A worker's log on a terminal obeys nobody."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pyagent_orch import Task, TaskStatus, Workflow
from pyagent_orch.embedded.server import PrivateServer
from support.command import Command
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


def test_a_name_cannot_begin_a_line_of_the_log(fleet: Fleet) -> None:
    worker = fleet.start("threads", 1)
    fleet.orchestrator.submit("fail", "boom", name="nice\n[2026] ERROR forged").wait(20)
    log = until(lambda: (text := worker.text()).count("Traceback") and text)
    assert "nice [2026] ERROR forged" in log
    assert not any(line.startswith("[2026] ERROR forged") for line in log.splitlines())


AGENTS = {"PYAGENT_ORCH_AGENTS": "support.log_agents"}


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_json_lines_have_the_ids_of_the_run_also_from_users_own_loggers(
    fleet: Fleet, pool: str
) -> None:
    worker = fleet.start(pool, 2, env={**AGENTS, "PYAGENT_ORCH_LOG_FORMAT": "json"})
    orch = fleet.orchestrator
    single = orch.submit("talk", 'a "b"\nc')
    broken = orch.submit("stumble", "no")
    later = Task("talk_later", "in a thread", name="late")
    flow = orch.submit_workflow(Workflow(name="w", tasks=[later]))
    orch.wait(single, broken, flow, timeout=30)
    worker.stop()
    lines = [json.loads(line) for line in worker.text().splitlines() if line.startswith("{")]
    said = {line["message"]: line for line in lines}
    mine = said['I say a "b"\nc']
    assert (mine["task_id"], mine["task_name"], mine["attempt"]) == (single.id, "talk", 1)
    assert (mine["level"], mine["logger"], mine["colour"]) == ("WARNING", "users.own", "red")
    assert mine["worker"].startswith("w1-")
    assert "workflow_id" not in mine
    assert datetime.fromisoformat(mine["time"]).utcoffset() == timedelta(0)
    assert "ValueError: invalid literal" in said["stumbled"]["exception"]
    assert said["stumbled"]["task_id"] == broken.id
    threaded = said["later in a thread"]
    assert (threaded["task_id"], threaded["workflow_id"]) == (later.id, flow.id)
    about = [line["message"] for line in lines if line.get("task_id") == single.id]
    assert any("succeeded" in message for message in about)
    # Nothing but JSON once the log is set up; what Celery's stop says is printed, not logged.
    after = worker.text()[worker.text().index('{"') :].splitlines()
    others = [line for line in after if line and not line.startswith("{")]
    assert [line for line in others if "Warm shutdown" not in line] == []


def test_text_lines_have_the_ids_of_the_run(fleet: Fleet) -> None:
    worker = fleet.start("threads", 1, env=AGENTS)
    flow = Workflow(name="w", tasks=[Task("talk", "hello", name="t")])
    fleet.orchestrator.submit_workflow(flow).wait(timeout=20)
    task = flow.tasks[0]
    (line,) = [line for line in worker.text().splitlines() if line.endswith("I say hello")]
    assert f" task={task.id} workflow={flow.id} attempt=1]" in line
    idle = [line for line in worker.text().splitlines() if line.endswith(" ready.")]
    assert idle
    assert " task=" not in idle[0]


def test_beat_logs_json_lines_too(server: PrivateServer, tmp_path: Path, namespace: str) -> None:
    command = Command(tmp_path, server.broker_url, namespace)
    with command.running("beat", "--log-format", "json", "--quiet") as process:
        line = json.loads(process.stderr.readline())
    assert line["level"] == "INFO"
    assert "beat" in line["message"]
