"""`pyagent-orch run` and `watch`: workflows from files, on a fleet and embedded."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

from pyagent_orch import Task, TaskStatus, Workflow, WorkflowStatus
from support import fleet_agents
from support.command import PROGRAM
from support.fleet import ROOT, Fleet

DOCUMENT = """
name: Shout
tasks:
  - name: say
    agent: echo
    input: hello
  - name: shout
    agent: upper
    input: "{say.output} <all>"
"""


def command(*arguments: str) -> list[str]:
    return [str(PROGRAM), *arguments]


def run(fleet: Fleet, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=fleet.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_a_document_runs_on_a_fleet_and_is_watched(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start("threads", 2)
    file = tmp_path / "shout.yaml"
    file.write_text(DOCUMENT)
    done = run(fleet, "run", str(file))
    assert (done.returncode, done.stdout) == (0, "HELLO <ALL>\n"), done.stderr
    assert "shout  completed" in done.stderr
    sent = run(fleet, "run", "--no-wait", "--json", str(file))
    workflow_id = json.loads(sent.stdout)["id"]
    watched = run(fleet, "watch", workflow_id, "--json")
    assert watched.returncode == 0, watched.stderr
    document = json.loads(watched.stdout)
    assert document["output"] == "HELLO <ALL>"
    assert [task["status"] for task in document["tasks"]] == ["completed", "completed"]


def test_a_failed_workflow_is_told_by_its_cause_and_its_exit_code(fleet: Fleet) -> None:
    fleet.start("threads", 2)
    workflow = fleet.orchestrator.submit_workflow(
        Workflow(
            "Broken",
            [Task(fleet_agents.fail, "no\x1b[31m way", name="bad"), Task("echo", name="after")],
            {"after": ["bad"]},
        )
    )
    watched = run(fleet, "watch", workflow.id)
    assert watched.returncode == 1
    assert "failed: bad failed: ValueError: no" in watched.stderr
    assert "\x1b" not in watched.stderr + watched.stdout
    assert workflow.wait(10).status is WorkflowStatus.FAILED
    assert workflow.tasks[1].status is TaskStatus.SKIPPED


def test_a_terminal_shows_a_live_tree_with_a_bar(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start("threads", 2)
    file = tmp_path / "shout.yaml"
    file.write_text(DOCUMENT)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command("run", str(file)),
        env=fleet.environment() | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        assert process.stdout is not None
        assert process.stdout.read() == b"HELLO <ALL>\n"
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 0
    assert "100%" in text
    assert "━" in text
    assert "2 completed" in text


def test_a_document_is_explained_and_drawn_without_a_fleet(tmp_path: Path) -> None:
    file = tmp_path / "shout.yaml"
    file.write_text(DOCUMENT)
    for option, says in (("--explain", "chain(say, shout)"), ("--mermaid", "flowchart TD")):
        done = subprocess.run(
            command("run", option, str(file)),
            cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
        )  # fmt: skip
        assert says in done.stdout


def test_the_example_runs_embedded() -> None:
    done = subprocess.run(
        command("run", "--embedded", "examples/support.yaml"),
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[offline model]" in done.stdout


def test_a_wrong_document_is_refused_with_its_line(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text("name: a\ntasks:\n  - name: b\n    agnt: x\n")
    done = run(fleet, "run", str(file))
    assert done.returncode == 2
    assert "line 4: tasks.0.agnt" in done.stderr
    assert "Traceback" not in done.stderr
    assert fleet.orchestrator.workflows() == []
