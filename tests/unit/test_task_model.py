"""The Task as a user builds it, before and after it has a record."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch import InvalidTaskError, RetryPolicy, Task, TaskStatus, Usage, agent
from pyagent_orch.exceptions import (
    TaskCancelledError,
    TaskFailedError,
    TaskSkippedError,
    TaskTimeoutError,
)
from pyagent_orch.models.checks import LONGEST_SECONDS
from pyagent_orch.models.records import TaskError, TaskRecord


def echo(value: Any) -> Any:
    return value


def record(status: TaskStatus, **fields: Any) -> TaskRecord:
    given = {"id": "t", "name": "n", "priority": 5, "queue": "q", "input": "x"} | fields
    return TaskRecord(status=status, **given)


def test_an_error_quotes_the_name_of_a_task_once() -> None:
    with pytest.raises(InvalidTaskError, match=r"^Task 'a': retry 0 is neither"):
        Task("x", name="a", retry=0)


def test_a_task_that_is_only_built_is_pending_and_empty() -> None:
    task = Task(echo, "x")
    assert task.status is TaskStatus.PENDING
    assert not task.is_live
    assert (task.output, task.error, task.usage, task.worker) == (None, None, None, None)
    assert (task.created_at, task.started_at, task.completed_at) == (None, None, None)
    assert task.attempts == 0
    assert (task.priority, task.metadata, task.delay) == (5, {}, 0.0)


def test_two_tasks_have_two_ids() -> None:
    assert Task(echo).id != Task(echo).id


@pytest.mark.parametrize(
    ("who", "name"),
    [
        (echo, "echo"),
        ("researcher", "researcher"),
        (agent("You write", name="Writer"), "Writer"),
    ],
)
def test_a_task_without_a_name_has_that_of_its_agent(who: object, name: str) -> None:
    assert Task(who).name == name
    assert Task(who, name="mine").name == "mine"


@pytest.mark.parametrize("who", [lambda x: x, partial(echo), None, 5])
def test_where_the_agent_has_no_name_the_task_is_named_by_its_id(who: object) -> None:
    task = Task(who)
    assert task.name == f"task-{task.id[:8]}"


@pytest.mark.parametrize("priority", range(1, 11))
def test_the_ten_priorities_are_taken(priority: int) -> None:
    assert Task(echo, priority=priority).priority == priority


@given(st.integers() | st.floats() | st.booleans() | st.text(max_size=3) | st.none())
def test_any_other_priority_is_refused(priority: Any) -> None:
    if isinstance(priority, int) and not isinstance(priority, bool) and 1 <= priority <= 10:
        return
    with pytest.raises(InvalidTaskError, match="priority"):
        Task(echo, priority=priority)


@given(st.floats(width=64) | st.integers())
def test_a_timeout_is_a_positive_time_that_clocks_can_hold(timeout: float) -> None:
    if 0 < timeout <= LONGEST_SECONDS:
        assert Task(echo, timeout=timeout).timeout == timeout
    else:
        with pytest.raises(InvalidTaskError, match="timeout"):
            Task(echo, timeout=timeout)


@given(st.floats(width=64) | st.integers())
def test_a_delay_is_a_time_from_zero_on_that_clocks_can_hold(delay: float) -> None:
    if 0 <= delay <= LONGEST_SECONDS:
        assert Task(echo, delay=delay).delay == delay
    else:
        with pytest.raises(InvalidTaskError, match="delay"):
            Task(echo, delay=delay)


@given(st.text(max_size=30))
def test_an_id_that_is_taken_is_one_that_can_stand_in_a_key_and_a_url(task_id: str) -> None:
    allowed = set("_.:@-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if task_id and set(task_id) <= allowed:
        assert Task(echo, id=task_id).id == task_id
    else:
        with pytest.raises(InvalidTaskError, match="an id is"):
            Task(echo, id=task_id)


@pytest.mark.parametrize("status", [s for s in TaskStatus if s is not TaskStatus.PENDING])
def test_a_task_is_built_pending(status: TaskStatus) -> None:
    with pytest.raises(InvalidTaskError, match="PENDING"):
        Task(echo, status=status)
    assert Task(echo, status="pending").status is TaskStatus.PENDING  # type: ignore[arg-type]


def test_a_number_of_attempts_is_a_retry_policy() -> None:
    assert Task(echo, retry=4).retry == RetryPolicy(max_attempts=4)
    policy = RetryPolicy(max_attempts=2, jitter=0)
    assert Task(echo, retry=policy).retry is policy
    assert Task(echo).retry is None


def test_metadata_is_a_copy() -> None:
    given = {"a": 1}
    task = Task(echo, metadata=given)
    given["a"] = 2
    assert task.metadata == {"a": 1}


def test_a_final_record_is_never_replaced_by_one_that_is_not() -> None:
    task = Task(echo, id="t")
    task.update(record(TaskStatus.RUNNING))
    assert task.status is TaskStatus.RUNNING
    task.update(record(TaskStatus.COMPLETED, output=42))
    task.update(record(TaskStatus.RUNNING))
    assert (task.status, task.output) == (TaskStatus.COMPLETED, 42)


@pytest.mark.parametrize(
    ("status", "error", "raised"),
    [
        (TaskStatus.FAILED, TaskError("ValueError", "no"), TaskFailedError),
        (TaskStatus.FAILED, TaskError("TaskTimeoutError", "slow"), TaskTimeoutError),
        (TaskStatus.CANCELLED, TaskError("TaskCancelledError", "by me"), TaskCancelledError),
        (TaskStatus.SKIPPED, TaskError("TaskSkippedError", "a failed"), TaskSkippedError),
        (TaskStatus.FAILED, None, TaskFailedError),
    ],
)
def test_the_result_of_a_task_without_output_is_the_error_that_says_why(
    status: TaskStatus, error: TaskError | None, raised: type[Exception]
) -> None:
    class Home:
        def wait_for(self, task: Task, timeout: float | None) -> None:
            """It is final already."""

    task = Task(echo, id="t")
    task.update(record(status, error=error))
    task.bind(Home())  # type: ignore[arg-type]
    with pytest.raises(raised) as caught:
        task.result()
    assert type(caught.value) is raised
    assert caught.value.task_id == "t"  # type: ignore[attr-defined]
    if error:
        assert error.message in str(caught.value)


def test_printing_a_task_reads_well() -> None:
    task = Task(echo, id="t-1", name="Research")
    assert str(task) == "Research [t-1] PENDING (not submitted)"
    assert repr(task) == "<Task 'Research' id=t-1 PENDING>"
    task.update(record(TaskStatus.COMPLETED, output="word " * 100))
    assert str(task).startswith("Research [t-1] COMPLETED: word word")
    assert str(task).endswith("...")
    assert len(str(task)) < 120
    failed = Task(echo, id="t-2", name="Write")
    failed.update(record(TaskStatus.FAILED, error=TaskError("ValueError", "no")))
    assert str(failed) == "Write [t-2] FAILED: ValueError: no"


def test_a_copy_of_a_built_task_is_a_task() -> None:
    task = Task(echo, "x", id="t", metadata={"a": 1})
    again = copy.copy(task)
    assert (again.id, again.metadata) == ("t", {"a": 1})


# --- what the record says ---------------------------------------------------------------


def test_a_record_is_read_from_what_redis_returns() -> None:
    fields = {
        "name": "n", "status": "completed", "priority": "1", "queue": "q", "input": '{"a":[1]}',
        "metadata": '{"user":"alice"}', "attempts": "2", "worker": "w@h", "timeout": "2.5",
        "usage": Usage(requests=1, input_tokens=3).model_dump_json(), "created": "1767225600123",
        "started": "1767225601000", "finished": "1767225602000", "key": "k", "agent": "hash",
    }  # fmt: skip
    read = TaskRecord.from_fields("t", fields, '"out"')
    assert (read.status, read.priority, read.attempts) == (TaskStatus.COMPLETED, 1, 2)
    assert (read.input, read.output) == ({"a": [1]}, "out")
    assert read.created_at == datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC)
    assert read.completed_at - read.started_at == timedelta(seconds=1)  # type: ignore[operator]
    assert read.usage is not None
    assert read.usage.total_tokens == 3
    assert read.timeout == 2.5


# --- retries -----------------------------------------------------------------------------


@given(
    failures=st.integers(1, 2_000),
    delay=st.floats(0, 1e6),
    factor=st.floats(1, 1e6),
    cap=st.floats(0, 1e6),
    jitter=st.floats(0, 1),
)
def test_a_delay_is_within_its_jitter_and_its_cap(
    failures: int, delay: float, factor: float, cap: float, jitter: float
) -> None:
    policy = RetryPolicy(delay_seconds=delay, factor=factor, max_delay_seconds=cap, jitter=jitter)
    drawn = policy.delay_after(failures)
    assert 0 <= drawn <= cap * (1 + 1e-9)
    if failures == 1:
        full = min(cap, delay)
        assert full * (1 - jitter) * (1 - 1e-9) <= drawn <= full * (1 + 1e-9)


def test_delays_double_without_jitter_and_differ_with_it() -> None:
    plain = RetryPolicy(delay_seconds=1, factor=2, max_delay_seconds=10, jitter=0)
    assert [plain.delay_after(n) for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    spread = RetryPolicy(delay_seconds=1, jitter=1)
    assert len({spread.delay_after(1) for _ in range(20)}) > 15


def test_retry_on_names_classes_and_their_bases() -> None:
    policy = RetryPolicy(retry_on=("OSError",), no_retry_on=("PermissionError",))
    assert policy.allows(ConnectionError())
    assert not policy.allows(ValueError())
    assert not policy.allows(PermissionError())
    assert RetryPolicy().allows(ValueError())


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0}, {"delay_seconds": -1}, {"factor": 0.5}, {"jitter": 1.5},
        {"max_delay_seconds": -1}, {"delay_seconds": float("nan")}, {"attempts": 3},
        {"delay_seconds": float("inf")}, {"factor": float("inf")},
        {"max_delay_seconds": float("inf")},
    ],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)
