"""Running callables: threads, the loop, deadlines, cancels, context, outputs, forks."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import enum
import functools
import signal
import subprocess
import sys
import threading
import time

import pytest
from pydantic import BaseModel

from pyagent_orch.agents import (
    Invocation,
    agent,
    cancel_run,
    current_run,
    invoke,
    register_model,
    to_wire,
)
from pyagent_orch.agents.calls import ModelAnswer
from pyagent_orch.agents.loop import background_loop
from pyagent_orch.exceptions import (
    AgentError,
    InvalidTaskError,
    TaskCancelledError,
    TaskTimeoutError,
)
from pyagent_orch.models.records import TaskRecord
from pyagent_orch.models.tasks import Task
from pyagent_orch.models.usage import Usage
from pyagent_orch.states import TaskStatus


def run(target, value="input", **fields):
    invocation = Invocation(**{"task_id": "task-1", "name": "work", **fields})
    return invoke(to_wire(target, local=True).json, value, invocation)


def started(target, **fields):
    """Invoke in a thread; the list gets its outcome or error."""
    results = []

    def work():
        try:
            results.append(run(target, **fields))
        except Exception as error:  # noqa: BLE001 - looked at by the test
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


# --- context and outputs ---


def test_a_callable_gets_the_input_and_the_upstream_outputs_if_it_asks():
    assert run(lambda value: value, [1, {"a": None}]).output == [1, {"a": None}]
    assert run(lambda value, context: context, context={"up": 5}).output == {"up": 5}
    assert run(lambda value, *, context=None: context, context={"up": 5}).output == {"up": 5}
    assert run(lambda value, **others: others, context={"up": 5}).output == {}


def test_the_context_given_to_a_callable_is_its_own():
    given = {"up": 5}
    run(lambda value, context: context.clear(), context=given)
    assert given == {"up": 5}


async def seen_in_async(_):
    await asyncio.sleep(0)
    return current_run().run_key


@pytest.mark.parametrize("deadline", [None, 30])
def test_the_run_is_visible_inside_and_nowhere_else(deadline):
    fields = {"run_key": "key-1", "deadline_seconds": deadline}
    assert run(lambda _: current_run().run_key, **fields).output == "key-1"
    assert run(seen_in_async, **fields).output == "key-1"
    assert current_run() is None


def test_runs_at_the_same_time_each_see_their_own():
    async def who(_):
        await asyncio.sleep(0.02)
        return current_run().task_id

    pairs = [(f"t{n}", *started(who, task_id=f"t{n}")) for n in range(20)]
    for task_id, thread, results in pairs:
        thread.join()
        assert results[0].output == task_id


class Answer(BaseModel):
    when: dt.date


@dataclasses.dataclass
class Pair:
    left: int
    right: set[int]


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("output", "written"),
    [
        (None, None),
        (True, True),
        (1.5, 1.5),
        ("tëxt", "tëxt"),
        (Answer(when=dt.date(2026, 1, 2)), {"when": "2026-01-02"}),
        (Pair(1, {2}), {"left": 1, "right": [2]}),
        ([Colour.RED, (1, 2)], ["red", [1, 2]]),
    ],
)
def test_an_output_becomes_json(output, written):
    assert run(lambda _: output).output == written


@pytest.mark.parametrize(
    "output",
    [
        object(),
        float("nan"),
        [float("inf")],
        {"x": threading.Lock()},
        b"\xff",
        "\ud800",
        ["\ud800"],
    ],
)
def test_an_output_without_a_json_form_is_an_error_that_names_the_agent(output):
    with pytest.raises(AgentError, match=r"Agent 'work'.*no JSON form"):
        run(lambda _: output)


def test_an_output_that_contains_itself_is_an_error():
    circle = []
    circle.append(circle)
    with pytest.raises(AgentError, match="no JSON form"):
        run(lambda _: circle)


# --- threads and the loop ---


def test_a_callable_runs_here_unless_a_deadline_needs_a_thread():
    def where(_):
        return threading.current_thread().name

    here = threading.current_thread().name
    assert run(where).output == here
    assert run(where, deadline_seconds=30, interruptible=True).output == here
    assert run(where, deadline_seconds=30).output == "pyagent-orch-call"


async def loop_id(_):
    return [id(asyncio.get_running_loop()), threading.current_thread().name]


def test_all_async_callables_share_one_loop():
    class Async:
        async def __call__(self, value):
            return await loop_id(value)

    returns_a_coroutine = functools.partial(lambda value, wanted: wanted(value), wanted=loop_id)
    outputs = [run(target).output for target in (loop_id, Async(), returns_a_coroutine)]
    assert outputs == [[id(background_loop().loop), "pyagent-orch-loop"]] * 3


@pytest.mark.parametrize("deadline", [None, 30])
def test_an_error_of_a_callable_passes_as_it_is(deadline):
    async def fails(_):
        raise TimeoutError("mine")

    def fails_too(_):
        raise LookupError("mine")

    with pytest.raises(TimeoutError, match="mine") as caught:
        run(fails, deadline_seconds=deadline)
    assert not isinstance(caught.value, TaskTimeoutError)
    with pytest.raises(LookupError, match="mine"):
        run(fails_too, deadline_seconds=deadline)


# --- deadlines ---


def test_a_blocking_callable_is_left_behind_at_the_deadline():
    release = threading.Event()
    begin = time.monotonic()
    with pytest.raises(TaskTimeoutError, match=r"task-1 timed out: 'work' .* 0\.2 s"):
        run(lambda _: release.wait(30), deadline_seconds=0.2)
    assert time.monotonic() - begin < 2
    release.set()


def test_an_async_callable_is_cancelled_at_the_deadline():
    ended = threading.Event()

    async def slow(_):
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    with pytest.raises(TaskTimeoutError):
        run(slow, deadline_seconds=0.1)
    assert ended.wait(5)


def test_a_coroutine_that_ignores_its_cancel_does_not_hold_the_worker():
    async def stubborn(_):
        for _ in range(20):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)

    begin = time.monotonic()
    with pytest.raises(TaskTimeoutError):
        run(stubborn, deadline_seconds=0.1)
    assert time.monotonic() - begin < 1


def test_an_exception_that_a_signal_raises_ends_the_coroutine():
    class SoftLimit(Exception):  # noqa: N818 - as Celery's
        pass

    begun, ended = threading.Event(), threading.Event()

    async def slow(_):
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    def handler(*_):
        raise SoftLimit

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(SoftLimit):
            run(slow, interruptible=True, deadline_seconds=30)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert begun.is_set()
    assert ended.wait(5)


# --- cancels ---


def test_a_cancel_frees_the_worker_at_once():
    begun, ended = threading.Event(), threading.Event()

    async def slow(_):
        begun.set()
        try:
            await asyncio.sleep(30)
        finally:
            ended.set()

    thread, results = started(slow, task_id="task-c")
    assert begun.wait(5)
    assert cancel_run("another") is False
    asked = time.monotonic()
    assert cancel_run("task-c") is True
    thread.join(5)
    assert time.monotonic() - asked < 1
    assert isinstance(results[0], TaskCancelledError)
    assert results[0].task_id == "task-c"
    assert ended.wait(5)
    assert cancel_run("task-c") is False


def test_a_cancel_of_nothing_does_not_start_a_loop():
    code = (
        "import threading\nfrom pyagent_orch.agents import cancel_run\n"
        "assert cancel_run('x') is False\nassert threading.active_count() == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_coroutine_that_cancels_itself_is_an_error_and_no_cancel():
    async def gives_up(_):
        raise asyncio.CancelledError

    with pytest.raises(AgentError, match="cancelled itself"):
        run(gives_up)


# --- agents inside agents ---


async def counting(model, asked, prompt):
    if prompt == "wait":
        await asyncio.sleep(30)
    return ModelAnswer(f"{model}: {prompt}", Usage(model=model, requests=1, input_tokens=2))


register_model("counting", counting)
helper = agent("Help", model="counting:one")


def test_an_agent_inside_a_callable_works_and_its_cost_counts():
    def both(value):
        return [helper(value), helper(value)]

    outcome = run(both)
    assert outcome.output == ["counting:one: input"] * 2
    assert outcome.usage == Usage(model="counting:one", requests=2, input_tokens=4)
    assert run(lambda value: value).usage is None


def test_an_agent_inside_async_code_is_awaited():
    async def awaits(value):
        return await helper.acall(value)

    outcome = run(awaits)
    assert outcome.output == "counting:one: input"
    assert outcome.usage.requests == 1


def test_calling_an_agent_where_it_would_wait_for_itself_is_refused_with_the_remedy():
    async def stuck(value):
        return helper(value)

    with pytest.raises(AgentError, match=r"await agent\.acall"):
        run(stuck, deadline_seconds=20)


def test_an_agent_inside_ends_with_the_run():
    with pytest.raises(TaskTimeoutError):
        run(lambda _: helper("wait"), deadline_seconds=0.2, interruptible=True)
    thread, results = started(lambda _: helper("wait"), task_id="task-n")
    deadline = time.monotonic() + 5
    while not cancel_run("task-n"):
        assert time.monotonic() < deadline
    thread.join(5)
    assert isinstance(results[0], TaskCancelledError)


def test_an_agent_inside_takes_the_model_of_the_run(monkeypatch):
    monkeypatch.setenv("PYAGENT_ORCH_MODEL", "counting:env")
    unnamed = agent("Help")
    assert run(lambda _: unnamed("x"), default_model="counting:run").output == "counting:run: x"
    assert run(lambda _: unnamed("x")).output.startswith("[offline model]")


def test_outside_any_run_the_environment_names_the_model(monkeypatch):
    unnamed = agent("Help")
    monkeypatch.setenv("PYAGENT_ORCH_MODEL", "counting:env")
    assert unnamed("x") == "counting:env: x"
    assert helper("x") == "counting:one: x"
    monkeypatch.setenv("PYAGENT_ORCH_MODEL", "")
    assert unnamed("x").startswith("[offline model]")


def test_an_agent_can_be_awaited_on_any_loop():
    async def main():
        return await asyncio.gather(*(helper.acall(str(n)) for n in range(5)))

    assert asyncio.run(main()) == [f"counting:one: {n}" for n in range(5)]


def test_awaiting_an_agent_on_another_loop_can_time_out_and_be_cancelled():
    hurried = agent("Help", model="counting:one", timeout_seconds=0.1)
    with pytest.raises(TaskTimeoutError):
        asyncio.run(hurried.acall("wait"))

    async def main():
        task = asyncio.create_task(helper.acall("wait"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_an_agent_that_times_out_in_place_says_so():
    with pytest.raises(TaskTimeoutError, match=r"'Help' did not answer within 0\.1 s"):
        agent("Help", model="counting:one", timeout_seconds=0.1)("wait")


def test_input_that_is_not_json_is_refused_in_place():
    with pytest.raises(AgentError, match="its input, a object, has no JSON form"):
        helper(object())


def completed_task(output):
    task = Task(agent=helper, input="x")
    record = TaskRecord(
        id=task.id,
        name=task.name,
        status=TaskStatus.COMPLETED,
        priority=5,
        queue="agents",
        input="x",
        output=output,
    )
    task.update(record)
    return task


def test_an_agent_given_a_task_takes_its_output():
    task = completed_task("what came out")
    assert helper(task) == "counting:one: what came out"
    assert asyncio.run(helper.acall(task)) == "counting:one: what came out"


def test_an_agent_given_a_task_that_was_never_submitted_is_told_so():
    with pytest.raises(InvalidTaskError, match="not been submitted"):
        helper(Task(agent=helper, input="x"))


@pytest.mark.parametrize(
    ("context", "prompt"),
    [
        ({}, "Sum up"),
        (
            {"Gather": "sources", "Count": [1]},
            """Outputs of the tasks before this one:
<output of="Gather">
sources
</output>
<output of="Count">
[
  1
]
</output>

Sum up""",
        ),
    ],
)
def test_upstream_outputs_are_shown_to_a_model_with_their_names(context, prompt):
    assert run(helper, "Sum up", context=context).output == f"counting:one: {prompt}"


def test_an_output_that_the_input_quotes_is_not_shown_twice():
    long = "A rather long output of the task before this one."
    asked = f"Sum up: {long}"
    assert run(helper, asked, context={"Gather": long}).output == f"counting:one: {asked}"


def test_an_agent_may_do_without_upstream_outputs():
    alone = agent("Help", model="counting:one", include_context=False)
    assert run(alone, "x", context={"Gather": "sources"}).output == "counting:one: x"


# --- processes ---


FORK = """
import os, sys, threading
from pyagent_orch.agents import Invocation, invoke, to_wire
from pyagent_orch.agents.loop import background_loop

async def where(_):
    return id(background_loop())

wire = to_wire(where, local=True).json
parents = invoke(wire, "", Invocation("p", "p")).output
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        childs = [invoke(wire, "", Invocation("c", "c", deadline_seconds=10)).output for _ in "ab"]
        os._exit(0 if childs[0] == childs[1] != parents else 1)
    assert os.waitpid(pid, 0)[1] == 0
    # The child's life must not have harmed the parent's loop.
    assert invoke(wire, "", Invocation("p", "p", deadline_seconds=10)).output == parents
print("fine")
"""


def test_a_forked_child_gets_a_loop_of_its_own_and_leaves_the_parents_alone():
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


EXIT = """
import asyncio, threading, time
from pyagent_orch.agents import Invocation, invoke, to_wire
from pyagent_orch.exceptions import TaskTimeoutError

async def sleeps(_): await asyncio.sleep(60)
def blocks(_): time.sleep(60)

for target in (sleeps, blocks):
    try:
        invoke(to_wire(target, local=True).json, "", Invocation("t", "t", deadline_seconds=0.1))
    except TaskTimeoutError:
        print("left")
"""


def test_what_was_left_behind_does_not_hold_up_the_end_of_the_process():
    begin = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("left\nleft\n", "", 0)
    assert time.monotonic() - begin < 10
