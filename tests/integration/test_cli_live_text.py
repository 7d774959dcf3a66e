"""The command line shows what running tasks write, on a terminal and only there."""

from __future__ import annotations

import json
import re

import pytest

from pyagent_orch import Task, Workflow
from support.command import Command
from support.fleet import Fleet
from support.fleet_agents import tell

WORDS = "\x1b]0;owned\x07 one two three four five six seven eight nine ten eleven twelve "
VALUE = {"text": WORDS, "seconds": 0.4}


@pytest.fixture
def command(fleet: Fleet) -> Command:
    fleet.start("threads", 2)
    return Command(fleet.directory, fleet.url, fleet.namespace)


def before_the_end(drawn: str) -> str:
    """What was drawn while the task ran."""
    return drawn[: drawn.rindex("running")]


def test_submit_and_watch_show_a_task_writing(fleet: Fleet, command: Command) -> None:
    drawn = command.on_terminal("submit", "tell_words", json.dumps(VALUE), "--json-input", "--wait")
    assert "one two three" in before_the_end(drawn)
    assert "\x1b]0;" not in drawn
    assert r"\x1b]0;owned\x07" in drawn
    # The text goes when the output is printed.
    assert drawn.rstrip().endswith("twelve")
    task = fleet.orchestrator.submit(tell, VALUE)
    drawn = command.on_terminal("watch", task.id)
    assert "one two three" in before_the_end(drawn)
    assert "\x1b]0;" not in drawn


def test_watch_shows_each_running_task_of_a_workflow_writing(
    fleet: Fleet, command: Command
) -> None:
    tasks = [Task(tell, VALUE, name=name) for name in ("first", "second")]
    workflow = fleet.orchestrator.submit_workflow(Workflow("both", tasks))
    drawn = command.on_terminal("watch", workflow.id)
    for name in ("first", "second"):
        assert re.search(rf"{name}.*running.*one two", drawn), drawn
    assert "\x1b]0;" not in drawn


def test_what_is_no_terminal_gets_the_output_alone(fleet: Fleet, command: Command) -> None:
    task = fleet.orchestrator.submit(tell, {"text": "one two three", "seconds": 0.1})
    done = command.run("watch", task.id)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "one two three\n"
    assert "one" not in done.stderr
    missing = command.run("watch", "nothing")
    assert missing.returncode == 2
    assert "nothing" in missing.stderr
