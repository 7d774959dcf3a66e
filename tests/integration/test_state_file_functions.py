"""Callbacks and agents after a restart: what is found again by its name, and what is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyagent_orch import (
    Orchestrator,
    Task,
    TaskFailedError,
    Workflow,
)
from pyagent_orch.embedded.server import PrivateServer
from support import fleet_agents, state_files
from support.fleet import Fleet, until
from support.state_files import entries, lose_redis

Make = Callable[..., Orchestrator]
LATER = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


@pytest.fixture(autouse=True)
def _forget_calls() -> None:
    state_files.CALLED.clear()


def test_a_callback_by_name_is_called_once_after_a_restart(embedded: Make, path: Path) -> None:
    orch = embedded(state_file=path)
    before = orch.submit(fleet_agents.echo, "before", callback=state_files.note)
    before.result(timeout=20)
    until(lambda: "task.called" in {one["kind"] for one in entries(path)})
    after = orch.submit(fleet_agents.echo, "after", delay=1.0, callback=state_files.note)
    flow = Workflow(
        "w", [Task(fleet_agents.echo, "in it", name="a", delay=1.0, callback=state_files.note)]
    )
    orch.submit_workflow(flow, callback=state_files.note)
    orch.close()
    assert [(before.id, "before")] == state_files.CALLED
    lose_redis(path)
    orch = embedded(state_file=path)
    wanted = {
        (before.id, "before"),
        (after.id, "after"),
        (flow.id, "in it"),
        (flow.tasks[0].id, "in it"),
    }
    until(lambda: len(state_files.CALLED) == 4, 20)
    assert set(state_files.CALLED) == wanted
    until(lambda: len([one for one in entries(path) if one["kind"].endswith(".called")]) == 4)
    orch.close()
    embedded(state_file=path).close()
    assert len(state_files.CALLED) == 4


def test_a_callback_that_was_due_when_the_process_ended_is_called(
    server: PrivateServer, namespace: str, path: Path, fleet: Fleet
) -> None:
    with Orchestrator(redis_url=server.url, namespace=namespace, state_file=path) as orch:
        task = orch.submit(fleet_agents.echo, "meanwhile", callback=state_files.note)
    fleet.start("threads", 1)
    fleet.orchestrator.get_task(task.id).result(timeout=20)
    assert state_files.CALLED == []
    with Orchestrator(redis_url=server.url, namespace=namespace, state_file=path):
        until(lambda: [(task.id, "meanwhile")] == state_files.CALLED)


def test_what_a_restart_cannot_bring_back_is_said_once(
    embedded: Make, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    orch = embedded(state_file=path)
    for number in range(3):
        orch.submit(lambda x: x, number, callback=lambda task: None).result(timeout=20)
    said = [one.getMessage() for one in caplog.records if one.name.startswith("pyagent_orch.state")]
    assert len(said) == 2
    assert any("Register the function with @register_agent" in text for text in said)
    assert any("cannot be restored from the state file" in text for text in said)


def test_a_lambda_fails_after_a_restart_with_what_to_do(path: Path, tmp_path: Path) -> None:
    """Another process, since the functions of this one are still here."""
    program = (
        "import sys\n"
        "from pyagent_orch import Orchestrator\n"
        "orch = Orchestrator(state_file=sys.argv[1])\n"
        "task = orch.submit(lambda x: x, 'lost', delay=0.5, name='local one')\n"
        "print(task.id, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    name = state_files.run_program(program, path).strip()
    lose_redis(path)
    with Orchestrator(state_file=path) as orch:
        task = orch.get_task(name)
        with pytest.raises(TaskFailedError, match=r"No agent .* Register it with @register_agent"):
            task.result(timeout=20)


def test_an_agent_of_the_script_itself_is_found_though_it_stands_below(path: Path) -> None:
    script = path.with_name("script.py")
    script.write_text(
        "import sys, time\n"
        "from pyagent_orch import Orchestrator, register_agent\n"
        f"orch = Orchestrator(state_file={str(path)!r})\n"
        "if sys.argv[1] != 'submit':\n"
        "    time.sleep(1)\n"
        "@register_agent\n"
        "def shout(text):\n"
        "    return text.upper()\n"
        "if sys.argv[1] == 'submit':\n"
        "    print(orch.submit(shout, 'hello', delay=0.1).id, flush=True)\n"
        "    import os; os._exit(0)\n"
        "print(orch.get_task(sys.argv[1]).result(timeout=20), flush=True)\n"
        "orch.close()\n"
    )
    name = state_files.run_script(script, "submit")
    assert state_files.run_script(script, name) == "HELLO"


def test_a_callback_of_the_script_itself_is_found_though_it_stands_below(path: Path) -> None:
    script = path.with_name("script.py")
    script.write_text(
        "import sys, threading\n"
        "from pyagent_orch import Orchestrator, agent\n"
        f"orch = Orchestrator(state_file={str(path)!r})\n"
        "called = threading.Event()\n"
        "def on_complete(task):\n"
        "    print('called', task.id, flush=True)\n"
        "    called.set()\n"
        "if sys.argv[1] == 'submit':\n"
        "    task = orch.submit(agent('You are a clerk'), 'x', delay=0.2, callback=on_complete)\n"
        "    print(task.id, flush=True)\n"
        "    import os; os._exit(0)\n"
        "assert called.wait(20)\n"
        "orch.close()\n"
    )
    name = state_files.run_script(script, "submit")
    assert state_files.run_script(script, "resume") == f"called {name}"
