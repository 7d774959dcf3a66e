"""Dead letters: what failed for good is listed with its reason and tried again, once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from pyagent_orch import ConfigurationError, Orchestrator, Task, TaskStatus, Workflow
from pyagent_orch.embedded.server import PrivateServer
from support.command import Command
from support.fleet import Fleet

WAIT = 20


@pytest.fixture(scope="module")
def workers(server: PrivateServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(
        server.broker_url, f"letters{uuid4().hex[:8]}", tmp_path_factory.mktemp("letters")
    )
    try:
        agents = "support.fleet_agents,support.letter_agents"
        fleet.start("threads", 4, env={"PYAGENT_ORCH_AGENTS": agents})
        yield fleet
    finally:
        fleet.close()


@pytest.fixture
def orch(workers: Fleet) -> Iterator[Orchestrator]:
    """A client of the fleet; what a test leaves dead is gone after it."""
    with Orchestrator(redis_url=workers.url, namespace=workers.namespace) as orchestrator:
        yield orchestrator
        store = orchestrator._store
        store.client.delete(store.keys.status("failed"))


@pytest.fixture
def cli(workers: Fleet) -> Command:
    return Command(workers.directory, workers.url, workers.namespace)


class Machine:
    """An agent `needs` that is broken until `mend`."""

    def __init__(self, folder: Path) -> None:
        self._mended, self._runs = folder / "mended", folder / "runs"

    def task(self, name: str) -> Task:
        value = {"runs": str(self._runs), "mended": str(self._mended)}
        return Task("needs", value, name=name, retry=1)

    def mend(self) -> None:
        self._mended.touch()

    @property
    def runs(self) -> Counter[str]:
        return Counter(self._runs.read_text().split("\n")[:-1])


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def failed(orch: Orchestrator, *tasks: Task) -> list[Task]:
    """Tasks that failed one after the other."""
    for task in tasks:
        orch.submit(task).wait(WAIT)
        assert task.status is TaskStatus.FAILED
    return list(tasks)


def ids(tasks: list[Task]) -> list[str]:
    return [task.id for task in tasks]


# --- listing ------------------------------------------------------------------------------------


def test_dead_letters_come_newest_first_with_their_reason(
    orch: Orchestrator, machine: Machine
) -> None:
    first, second = failed(orch, machine.task("press"), Task("fail", "no paper", retry=1))
    orch.submit("echo", "fine").result(WAIT)
    found = orch.dead_letters()
    assert ids(found) == [second.id, first.id]
    assert [str(task.error) for task in found] == [
        "ValueError: no paper",
        "MissingPartError: press needs a part",
    ]


def test_dead_letters_are_chosen_by_name_by_error_and_by_both(
    orch: Orchestrator, machine: Machine
) -> None:
    press, saw, other = failed(
        orch, machine.task("press"), machine.task("saw"), Task("fail", "no", name="saw", retry=1)
    )
    assert ids(orch.dead_letters(name="saw")) == [other.id, saw.id]
    assert ids(orch.dead_letters(error="MissingPartError")) == [saw.id, press.id]
    assert ids(orch.dead_letters(error=ValueError)) == [other.id]
    assert ids(orch.dead_letters(name="saw", error="MissingPartError")) == [saw.id]
    assert orch.dead_letters(name="sa") == orch.dead_letters(error="Missing") == []


def test_dead_letters_are_chosen_by_when_they_failed(orch: Orchestrator) -> None:
    early, late = failed(orch, Task("fail", "1", retry=1), Task("fail", "2", retry=1))
    assert late.completed_at is not None
    assert ids(orch.dead_letters(since=late.completed_at)) == [late.id]
    assert ids(orch.dead_letters(since=timedelta(hours=1))) == [late.id, early.id]
    assert orch.dead_letters(since=datetime.now(UTC) + timedelta(minutes=1)) == []
    # Another time zone, the same moment.
    there = late.completed_at.astimezone(tz=None)
    assert ids(orch.dead_letters(since=there)) == [late.id]


def test_a_moment_without_a_time_zone_and_a_limit_of_none_are_refused(orch: Orchestrator) -> None:
    with pytest.raises(ConfigurationError, match="has no time zone"):
        orch.dead_letters(since=datetime.now())  # noqa: DTZ005 - what is refused
    with pytest.raises(ConfigurationError, match="limit"):
        orch.retry_failed(limit=0)


def test_a_limit_bounds_what_is_read(orch: Orchestrator) -> None:
    tasks = orch.submit_many([Task("fail", "x", name=f"n{i % 2}", retry=1) for i in range(40)])
    orch.wait(*tasks, timeout=WAIT)

    def reads() -> int:
        stats = orch._store.client.info("commandstats")
        return sum(int(stats.get(name, {}).get("calls", 0)) for name in ("cmdstat_hgetall",))

    before = reads()
    assert len(orch.dead_letters(limit=3)) == 3
    assert len(orch.dead_letters(name="n1", limit=2)) == 2
    assert reads() - before == 5
    assert len(orch.dead_letters(limit=None)) == 40
    assert len(orch.dead_letters(name="n0", limit=None)) == 20


# --- trying again -------------------------------------------------------------------------------


def test_only_what_the_filter_names_is_tried_again(orch: Orchestrator, machine: Machine) -> None:
    press, saw = failed(orch, machine.task("press"), machine.task("saw"))
    machine.mend()
    again = orch.retry_failed(name="saw")
    assert ids(again) == [saw.id]
    assert again[0].result(WAIT) == "done"
    assert ids(orch.dead_letters()) == [press.id]
    [other] = orch.retry_failed(error="MissingPartError", since=timedelta(minutes=5))
    assert (other.id, other.result(WAIT)) == (press.id, "done")
    assert machine.runs == {"press": 2, "saw": 2}
    assert orch.retry_failed() == []


def test_a_limit_takes_those_that_failed_last(orch: Orchestrator, machine: Machine) -> None:
    tasks = failed(orch, *(machine.task(name) for name in "abc"))
    machine.mend()
    again = orch.retry_failed(limit=2)
    assert ids(again) == [tasks[2].id, tasks[1].id]
    orch.wait(*again, timeout=WAIT)
    assert machine.runs == {"a": 1, "b": 2, "c": 2}


def test_what_fails_again_is_tried_once_for_each_call(orch: Orchestrator, machine: Machine) -> None:
    failed(orch, *(machine.task(name) for name in "abc"))
    again = orch.retry_failed()
    orch.wait(*again, timeout=WAIT)
    assert machine.runs == {"a": 2, "b": 2, "c": 2}
    assert sorted(ids(orch.dead_letters())) == sorted(ids(again))


def test_failed_tasks_of_one_workflow_go_on_in_it_each_once(
    orch: Orchestrator, machine: Machine
) -> None:
    one, two, both = machine.task("one"), machine.task("two"), machine.task("both")
    workflow = orch.submit_workflow(
        Workflow(f"w{uuid4().hex[:6]}", [one, two, both], {"both": ["one", "two"]})
    )
    workflow.wait(WAIT)
    assert both.status is TaskStatus.SKIPPED
    single = failed(orch, machine.task("single"))[0]
    machine.mend()
    again = orch.retry_failed()
    assert sorted(ids(again)) == sorted([one.id, two.id, single.id])
    assert orch.get_workflow(workflow.id).result(WAIT) == "done"
    orch.wait(*again, timeout=WAIT)
    assert machine.runs == {"one": 2, "two": 2, "both": 1, "single": 2}
    retried = [event for event in orch.events() if event.type == "workflow.retried"]
    assert [event.subject for event in retried].count(workflow.id) == 1


def test_one_of_two_failed_tasks_of_a_workflow_can_be_meant(
    orch: Orchestrator, machine: Machine
) -> None:
    one, two, both = machine.task("one"), machine.task("two"), machine.task("both")
    workflow = orch.submit_workflow(
        Workflow(f"w{uuid4().hex[:6]}", [one, two, both], {"both": ["one", "two"]})
    )
    workflow.wait(WAIT)
    machine.mend()
    assert ids(orch.retry_failed(name="one")) == [one.id]
    orch.get_workflow(workflow.id).wait(WAIT)
    assert machine.runs == {"one": 2, "two": 1}
    assert ids(orch.dead_letters()) == [two.id]
    orch.retry_failed()
    assert orch.get_workflow(workflow.id).result(WAIT) == "done"
    assert machine.runs == {"one": 2, "two": 2, "both": 1}


def test_two_who_retry_at_once_run_nothing_twice(orch: Orchestrator, machine: Machine) -> None:
    tasks = orch.submit_many([machine.task(f"t{i}") for i in range(60)])
    orch.wait(*tasks, timeout=WAIT)
    machine.mend()
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(orch.retry_failed) for _ in range(4)]
        taken = [task.id for call in calls for task in call.result(WAIT)]
    assert sorted(taken) == sorted(ids(tasks))
    orch.wait(*map(orch.get_task, taken), timeout=WAIT)
    assert set(machine.runs.values()) == {2}


# --- the command line ---------------------------------------------------------------------------


def test_the_command_lists_dead_letters(orch: Orchestrator, machine: Machine, cli: Command) -> None:
    press, other = failed(orch, machine.task("press"), Task("fail", "no", name="other", retry=1))
    lines = cli.ok("dead").splitlines()
    assert lines[0].split() == ["ID", "NAME", "FAILED", "ATTEMPTS", "REASON"]
    assert [line.split()[0] for line in lines[1:]] == [other.id, press.id]
    assert lines[2].endswith("MissingPartError: press needs a part")
    [document] = cli.json("dead", "--name", "press", "--since", "2h", "--error", "MissingPartError")
    assert document["id"] == press.id
    assert document["error"]["message"] == "press needs a part"
    moment = press.completed_at.isoformat()
    assert len(cli.json("dead", "--since", moment)) == 2
    assert len(cli.json("dead", "--limit", "1")) == 1
    assert cli.here("dead", "--name", "nobody").stderr == "No dead letters.\n"


def test_the_command_retries_what_failed_and_shows_it_before(
    orch: Orchestrator, machine: Machine, cli: Command
) -> None:
    press, saw = failed(orch, machine.task("press"), machine.task("saw"))
    machine.mend()
    filters = ("retry", "--failed", "--name", "saw", "--since", "1h", "--error", "MissingPartError")
    dry = cli.here(*filters, "--dry-run")
    assert dry.stdout.split() == [saw.id, "failed"]
    assert dry.stderr == "1 task would be retried.\n"
    [shown] = cli.json(*filters, "--dry-run")
    assert shown == {"id": saw.id, "done": False, "status": "failed", "error": None}
    assert saw.status is TaskStatus.FAILED
    done = cli.here(*filters)
    assert (done.returncode, done.stdout.split()[0]) == (0, saw.id)
    assert done.stderr == "1 task retried.\n"
    assert orch.get_task(saw.id).result(WAIT) == "done"
    assert machine.runs == {"press": 1, "saw": 2}
    [told] = cli.json("retry", "--failed")
    assert (told["id"], told["done"], told["error"]) == (press.id, True, None)
    assert cli.json("retry", "--failed") == []
    assert orch.get_task(press.id).result(WAIT) == "done"


def test_single_tasks_can_be_looked_at_before_they_are_retried(
    orch: Orchestrator, machine: Machine, cli: Command
) -> None:
    [press] = failed(orch, machine.task("press"))
    assert cli.ok("retry", "--dry-run", press.id).split() == [
        press.id,
        "failed",
        "(would",
        "be",
        "retried)",
    ]
    done = cli.here("retry", "--dry-run", press.id, "nobody")
    assert done.returncode == 2
    assert "nobody" in done.stderr
    assert machine.runs == {"press": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("retry",), "ID"),
        (("retry", "some-id", "--failed"), "not both"),
        (("retry", "some-id", "--name", "x"), "--failed"),
        (("retry", "--failed", "--since", "yesterday"), "yesterday"),
        (("dead", "--since", "2026-13-01"), "2026-13-01"),
        (("dead", "--limit", "0"), "0"),
    ],
)
def test_a_retry_that_is_not_clear_is_refused(
    cli: Command, words: tuple[str, ...], said: str
) -> None:
    done = cli.here(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_json_of_the_commands_is_one_document(orch: Orchestrator, cli: Command) -> None:
    failed(orch, Task("fail", "\x1b[31mred", retry=1))
    assert "\x1b" not in cli.ok("dead")
    assert json.loads(cli.ok("dead", "--json"))[0]["error"]["message"] == "\x1b[31mred"
