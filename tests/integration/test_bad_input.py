"""What a user gets for bad input: one clear error, at once, and nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyagent_orch import (
    AgentNotFoundError,
    AgentNotPortableError,
    IllegalMoveError,
    InputError,
    InvalidTaskError,
    Orchestrator,
    OrchestratorClosedError,
    PyAgentOrchError,
    SubmitError,
    Task,
    TaskExistsError,
    TaskNotFoundError,
)
from pyagent_orch.embedded.server import PrivateServer
from support.calls import CALLS
from support.fleet import until
from support.fleet_agents import echo


@pytest.fixture
def orch(server: PrivateServer, namespace: str) -> Iterator[Orchestrator]:
    """A client of a server that has no workers."""
    with Orchestrator(redis_url=server.url, namespace=namespace) as orchestrator:
        yield orchestrator


# --- ids, names, values ----------------------------------------------------------------


@pytest.mark.parametrize("call", ["status", "get_task", "cancel", "retry"])
@pytest.mark.parametrize("task_id", ["nobody", "", "*", "a b", "é", "x" * 10_000])
def test_an_unknown_id_is_said_so(orch: Orchestrator, call: str, task_id: str) -> None:
    with pytest.raises(TaskNotFoundError) as caught:
        getattr(orch, call)(task_id)
    assert isinstance(caught.value, LookupError)
    assert task_id[:50] in str(caught.value)


@pytest.mark.parametrize("call", ["status", "get_task", "cancel", "retry"])
def test_a_task_in_place_of_its_id_is_named_as_what_is_not_there(
    orch: Orchestrator, call: str
) -> None:
    task = orch.submit(echo, "x")
    with pytest.raises(TaskNotFoundError, match=f"No task <Task 'echo' id={task.id}"):
        getattr(orch, call)(task)


def test_paging_after_an_unknown_task_is_refused(orch: Orchestrator) -> None:
    with pytest.raises(TaskNotFoundError, match="nobody"):
        orch.tasks(before="nobody")


def test_an_unknown_agent_name_is_refused_with_the_nearest_one_when_workers_live(
    orch: Orchestrator,
) -> None:
    orch._store.fleet.heartbeat("lease", "w@h", '{"agents":["echo","upper"]}', [])
    with pytest.raises(AgentNotFoundError, match=r"No agent 'uper'; did you mean 'upper'\?"):
        orch.submit("uper", "x")
    assert orch.tasks() == []


def test_a_callable_that_no_worker_could_import_is_refused(orch: Orchestrator) -> None:
    with pytest.raises(AgentNotPortableError, match="register_agent"):
        orch.submit(lambda text: text, "x")
    with pytest.raises(AgentNotPortableError):
        orch.submit(Path("/tmp").joinpath, "x")


@pytest.mark.parametrize("agent", [None, 5, "", b"echo", object(), ["echo"]])
def test_what_is_no_agent_is_refused(orch: Orchestrator, agent: object) -> None:
    with pytest.raises(PyAgentOrchError):
        orch.submit(agent, "x")
    assert orch.tasks() == []


def circle() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


def deep() -> list[object]:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    return value


NOT_JSON: dict[str, Callable[[], object]] = {
    "object": object,
    "bytes": lambda: b"x",
    "nan": lambda: float("nan"),
    "infinity inside": lambda: {"a": [float("inf")]},
    "a set of objects": lambda: {object()},
    "half a character": lambda: "\ud800",
    "half a character inside": lambda: {"a": "\udfff"},
    "a circle": circle,
    "too deep": deep,
    "a class": lambda: dict,
    "a file": lambda: Path("/tmp"),
}


@pytest.mark.parametrize("what", NOT_JSON)
def test_an_input_that_is_not_json_is_refused_at_submit(orch: Orchestrator, what: str) -> None:
    with pytest.raises(InputError) as caught:
        orch.submit(echo, NOT_JSON[what](), name="the one")
    assert "'the one'" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert orch.tasks() == []


@pytest.mark.parametrize("what", NOT_JSON)
def test_metadata_that_is_not_json_is_refused_at_submit(orch: Orchestrator, what: str) -> None:
    with pytest.raises(InputError):
        orch.submit(echo, "x", metadata={"m": NOT_JSON[what]()})
    assert orch.tasks() == []


@pytest.mark.parametrize("what", NOT_JSON)
def test_data_of_an_event_that_is_not_json_is_refused(orch: Orchestrator, what: str) -> None:
    with pytest.raises(InputError):
        orch.emit("custom.event", NOT_JSON[what]())
    assert list(orch.events()) == []


BAD_OPTIONS: list[dict[str, Any]] = [
    {"priority": 0},
    {"priority": 11},
    {"priority": True},
    {"priority": 5.0},
    {"priority": "1"},
    {"priority": None},
    {"timeout": 0},
    {"timeout": -1},
    {"timeout": float("nan")},
    {"timeout": float("inf")},
    {"timeout": "5"},
    {"delay": -1},
    {"delay": float("nan")},
    {"delay": float("inf")},
    {"delay": "5"},
    {"delay": None},
    {"retry": 0},
    {"retry": -3},
    {"retry": True},
    {"retry": "3"},
    {"name": ""},
    {"name": " "},
    {"name": 5},
    {"name": "\ud800"},
    {"id": ""},
    {"id": "a b"},
    {"id": "x" * 201},
    {"id": "é"},
    {"id": 5},
    {"queue": ""},
    {"queue": "a:b"},
    {"queue": "a\x06\x163"},
    {"queue": 5},
    {"key": "\ud800"},
    {"key": 5},
    {"metadata": ["a"]},
    {"metadata": "text"},
    {"metadata": {5: "five"}},
    {"callback": "print"},
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=repr)
def test_an_option_out_of_its_range_is_refused(orch: Orchestrator, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidTaskError) as caught:
        orch.submit(echo, "x", **options)
    assert next(iter(options)) in str(caught.value)
    assert orch.tasks() == []


def test_a_bulk_submit_with_one_bad_task_sends_nothing(orch: Orchestrator) -> None:
    sent = orch.submit(echo, "first")
    good = Task(echo, "x")
    for bad in (Task(echo, object()), "no task", sent, good, Task(echo, "y", id=good.id)):
        with pytest.raises(InvalidTaskError):
            orch.submit_many([good, bad])  # type: ignore[list-item]
        assert not good.is_live
        assert [task.id for task in orch.tasks()] == [sent.id]
    assert orch.submit(good).id == good.id


def test_a_bulk_submit_with_a_taken_id_says_what_was_sent(orch: Orchestrator) -> None:
    orch.submit(echo, "first", id="taken")
    # More than one batch.
    tasks = [Task(echo, "other", id="taken"), *(Task(echo, n) for n in range(600))]
    with pytest.raises(SubmitError, match="'taken' belongs to another task") as caught:
        orch.submit_many(tasks)
    account = caught.value
    assert account.unsent[0] == "taken"
    assert sorted(account.sent + account.unsent) == sorted(task.id for task in tasks)
    assert {task.id for task in tasks if task.is_live} == set(account.sent)
    assert {task.id for task in orch.tasks(limit=1000)} == {"taken", *account.sent}
    rest = [task for task in tasks if task.id in account.unsent[1:]]
    assert len(orch.submit_many(rest)) == len(rest)
    assert len(orch.tasks(limit=1000)) == 601


def test_a_taken_id_costs_the_first_task_nothing(orch: Orchestrator) -> None:
    seen: list[Task] = []
    first = orch.submit(echo, "x", id="one", callback=seen.append)
    with pytest.raises(TaskExistsError, match="another id"):
        orch.submit(echo, "other", id="one", callback=lambda _: pytest.fail("refused"))
    assert orch.cancel("one")
    until(lambda: seen == [first])


def test_a_task_that_was_not_submitted_cannot_be_waited_for_or_cancelled(
    orch: Orchestrator,
) -> None:
    task = Task(echo, "x", name="mine")
    for call in (task.wait, task.result, task.cancel, lambda: orch.wait(task, timeout=5)):
        with pytest.raises(InvalidTaskError, match=r"'mine'.* not been submitted"):
            call()

    async def awaited() -> None:
        await task

    with pytest.raises(InvalidTaskError):
        asyncio.run(awaited())


def test_a_retry_of_a_task_that_is_not_final_is_refused(orch: Orchestrator) -> None:
    task = orch.submit(echo, "x")
    with pytest.raises(IllegalMoveError, match=f"Cannot retry {task.id}: it is pending"):
        orch.retry(task.id)


@pytest.mark.parametrize("event", ["task.completed", "worker.online", "workflow.x", ""])
def test_events_that_tell_a_state_cannot_be_emitted(orch: Orchestrator, event: str) -> None:
    with pytest.raises(InvalidTaskError):
        orch.emit(event)


def test_a_position_that_is_no_event_id_is_refused(orch: Orchestrator) -> None:
    with pytest.raises(PyAgentOrchError, match="yesterday"):
        list(orch.events(since="yesterday"))


# --- a closed orchestrator -----------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_a_closed_orchestrator_says_so(orch: Orchestrator, call: str) -> None:
    orch.submit(echo, "x", id="one")
    orch.close()
    orch.close()
    with pytest.raises(OrchestratorClosedError):
        CALLS[call](orch)


def test_a_task_of_a_closed_orchestrator_shows_what_was_last_known(orch: Orchestrator) -> None:
    task = orch.submit(echo, "x")
    orch.close()
    assert task.status == "pending"
    assert task.output is None
    with pytest.raises(OrchestratorClosedError):
        task.wait(timeout=5)
