"""What the shell completes from the fleet: names of agents and queues, ids of what is there."""

from __future__ import annotations

import time
from pathlib import Path

from pyagent_orch import Task, Workflow
from pyagent_orch.embedded.server import PrivateServer
from support.command import Command
from support.fleet import Fleet


def completed(command: Command, *words: str) -> list[str]:
    """What the shell is offered for the last of these words."""
    env = {
        "_PYAGENT_ORCH_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["pyagent-orch", *words]),
        "COMP_CWORD": str(len(words)),
    }
    lines = command.run(env=env).stdout.splitlines()
    return [line.removeprefix("plain,") for line in lines if line]


def test_names_come_from_the_fleet(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start("threads", 1, "-Q", "agents,slow")
    orchestrator = fleet.orchestrator
    task = orchestrator.submit("upper", "a", name="Greet")
    workflow = orchestrator.submit_workflow(Workflow(tasks=[Task(agent="upper", input="a")]))
    job = orchestrator.schedule(agent="upper", input="a", interval_seconds=3600, id="hourly")
    orchestrator.wait(task, workflow, timeout=10)
    command = Command(tmp_path, fleet.url, fleet.namespace)
    assert completed(command, "submit", "upp") == ["upper"]
    assert completed(command, "submit", "upper", "--queue", "s") == ["slow"]
    assert completed(command, "show", task.id[:6]) == [task.id]
    assert completed(command, "list", "--name", "Gr") == ["Greet"]
    assert completed(command, "watch", workflow.id[:8]) == [workflow.id]
    assert completed(command, "schedules", "run", "hour") == [job.id]
    # An input is anybody's: nothing is offered for it.
    assert completed(command, "submit", "upper", "up") == []


def test_names_that_are_no_word_of_a_shell_are_left_out(
    server: PrivateServer, namespace: str, tmp_path: Path
) -> None:
    with Fleet(server.broker_url, namespace, tmp_path).orchestrator as orchestrator:
        for name in ("two\nlines", "col\x1b[31mour", "plain"):
            orchestrator.submit("upper", "a", name=name)
    command = Command(tmp_path, server.broker_url, namespace)
    assert completed(command, "list", "--name", "") == ["plain"]


def test_a_fleet_out_of_reach_costs_a_second_and_says_nothing(tmp_path: Path) -> None:
    # An address that takes no connection and refuses none.
    command = Command(tmp_path, "redis://192.0.2.1:6379/0")
    began = time.monotonic()
    assert completed(command, "show", "") == []
    assert time.monotonic() - began < 3
    assert completed(Command(tmp_path, None), "show", "") == []
