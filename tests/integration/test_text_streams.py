"""Text of running tasks reaches who streams them: at once, exactly, and of the run that counts."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable

import pytest

from pyagent_orch import (
    Debate,
    InvalidTaskError,
    Orchestrator,
    OrchestratorClosedError,
    Settings,
    Task,
    TaskNotFoundError,
    TaskTimeoutError,
    TextPiece,
    Workflow,
    agent,
    current_run,
)
from support.fleet import Fleet, until
from support.fleet_agents import atell, tell
from support.reading import Reading, read

LONG = "The wind — der Wind, 風 — went round the house and said: " + "one two trés quatre " * 6
FAST = {
    # Low, so that a dead worker is found soon; the times of a test, not of production.
    "PYAGENT_ORCH_LEASE_SECONDS": "1.5",
    "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.3",
}
Make = Callable[..., Orchestrator]


@pytest.mark.parametrize("teller", [tell, atell])
def test_what_a_callable_writes_is_there_while_it_runs(embedded: Make, teller: object) -> None:
    task = embedded().submit(teller, {"text": LONG, "seconds": 0.02})
    reading, status = Reading(), []
    for piece in task.stream(timeout=20):
        reading.take(piece)
        status.append(task.status.value)
    assert reading.text == task.result() == LONG
    assert len(reading.pieces) > 3
    assert status[0] == "running"
    assert {piece.attempt for piece in reading.pieces} == {1}


def test_a_stream_begun_late_or_again_yields_all_of_it_once(embedded: Make) -> None:
    orch = embedded()
    task = orch.submit(tell, {"text": LONG, "seconds": 0.02})
    first: list[TextPiece] = []
    for piece in task.stream(timeout=20):
        first.append(piece)
        if len(first) == 3:
            break
    assert read(orch.get_task(task.id).stream(timeout=20)).text == LONG
    assert read(task.stream()).text == LONG
    # And on from each piece that was had, exactly.
    for piece in first:
        rest = list(task.stream(after=piece.id))
        had = LONG.encode()[: piece.place.offset].decode()
        assert had + "".join(one.text for one in rest) == LONG
        assert rest[0].place.mark == piece.place.mark
    assert list(task.stream(after=rest[-1].id)) == []


def test_a_text_that_expired_is_given_anew_from_the_record(embedded: Make) -> None:
    orch = embedded()
    task = orch.submit(tell, {"text": LONG, "seconds": 0.02})
    piece = next(iter(task.stream(timeout=20)))
    task.wait(20)
    store = orch._store
    assert store.client.delete(store.keys.text(task.id)) == 1
    again = list(task.stream(after=piece.id))
    assert [one.offset for one in again] == [0]
    assert again[0].text == LONG
    assert list(task.stream(after=again[0].id)) == []
    middle = f"{again[0].attempt}.{again[0].part}:{len(LONG[:7].encode())}"
    assert "".join(one.text for one in task.stream(after=middle)) == LONG[7:]


def test_a_short_answer_is_one_piece_and_writes_nothing(embedded: Make) -> None:
    orch = embedded()

    def quick(text: str) -> str:
        run = current_run()
        assert run is not None
        run.write(text)
        return text

    tasks = [orch.submit(quick, f"text {n}") for n in range(30)]
    for n, task in enumerate(tasks):
        assert [piece.text for piece in task.stream(timeout=20)] == [f"text {n}"]
    # What `write_text` begins with; the other acts never do.
    assert "cmdstat_getrange" not in orch._store.client.info("commandstats")


def test_an_output_that_is_another_text_takes_the_place_of_what_was_written(
    embedded: Make,
) -> None:
    orch = embedded()
    for output in ("the answer", ""):
        task = orch.submit(tell, {"text": LONG, "seconds": 0.01, "output": output})
        reading = read(task.stream(timeout=20))
        assert reading.text == output
        assert len(reading.pieces) > 2


def test_a_structured_output_leaves_what_was_written_whole(embedded: Make) -> None:
    task = embedded().submit(tell, {"text": LONG, "seconds": 0.01, "output": {"n": 1}})
    assert read(task.stream(timeout=20)).text == LONG
    assert task.output == {"n": 1}


def test_half_a_text_of_a_failed_attempt_is_dropped(embedded: Make) -> None:
    value = {"text": LONG, "seconds": 0.01, "attempt": 2, "raises": True}
    task = embedded().submit(tell, value, retry=2)
    reading = read(task.stream(timeout=20))
    assert reading.text == task.output == LONG
    assert [piece.attempt for piece in reading.pieces if piece.offset == 0] == [1, 2]


def test_a_task_that_fails_ends_its_stream(embedded: Make) -> None:
    value = {"text": LONG, "seconds": 0.01, "attempt": 2, "raises": True}
    task = embedded().submit(tell, value)
    assert LONG.startswith(read(task.stream(timeout=20)).text)
    assert task.status == "failed"


def test_the_connection_of_the_reader_is_cut_twenty_times(embedded: Make) -> None:
    orch = embedded()
    text = LONG * 3
    task = orch.submit(tell, {"text": text, "seconds": 0.025})
    reading, cuts = Reading(), 0
    for piece in task.stream(timeout=60):
        reading.take(piece)
        if cuts < 20:
            cuts += orch._store.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") > 0
    assert cuts == 20
    assert reading.text == task.output == text


def test_more_than_is_shown_comes_with_the_output(embedded: Make) -> None:
    orch = embedded(settings=Settings(text_max_bytes=11))
    task = orch.submit(tell, {"text": LONG, "seconds": 0.01})
    reading = read(task.stream(timeout=20))
    # The twelfth byte is in the middle of a character.
    assert reading.pieces[0].text == LONG.encode()[:11].decode("utf-8", "ignore") == LONG[:9]
    assert reading.text == LONG


def test_switched_off_there_is_only_the_output(embedded: Make) -> None:
    orch = embedded(settings=Settings(text_max_bytes=0))
    task = orch.submit(tell, {"text": LONG, "seconds": 0.01})
    assert [piece.text for piece in task.stream(timeout=20)] == [LONG]
    assert orch._store.client.exists(orch._store.keys.text(task.id)) == 0


def test_a_handler_of_all_texts_gets_each_piece_once(embedded: Make) -> None:
    orch = embedded()
    reading, other = Reading(), threading.Event()
    take = orch.on("task.text", reading.take)
    orch.on("task.text", lambda _: 1 / 0)
    orch.on("task.completed", lambda _: other.set())
    tasks = [orch.submit(tell, {"text": LONG, "seconds": 0.01}) for _ in range(3)]
    orch.wait(*tasks, timeout=20)
    assert other.wait(5)
    until(lambda: len(reading.texts) == 3)
    for task in tasks:
        # To the last piece that was sent; the rest is in the output.
        assert LONG.startswith(reading.texts[task.id])
        assert len(reading.texts[task.id]) > len(LONG) / 2
    heard = len(reading.pieces)
    assert orch.off(take)
    orch.submit(tell, {"text": LONG, "seconds": 0.01}).wait(20)
    assert len(reading.pieces) == heard


def test_a_workflow_streams_the_texts_of_all_its_tasks(embedded: Make) -> None:
    orch = embedded()
    slow = {"text": LONG, "seconds": 0.01}
    debate = Debate(
        pro_agent=agent("For", model="offline:100", name="pro"),
        con_agent=agent("Against", model="offline:100", name="con"),
        judge=agent("Judge", name="judge"),
        rounds=1,
    )
    tasks = [
        Task(tell, slow, name="a"),
        Task(str.upper, "{a.output}", name="b"),
        Task(debate, "Tea?"),
    ]
    workflow = orch.submit_workflow(Workflow("w", tasks))
    reading = read(workflow.stream(timeout=30))
    texts = {task.id: task.output for task in workflow.all_tasks if isinstance(task.output, str)}
    assert len(texts) == 4
    assert reading.texts == texts
    # Whoever comes when all is over has the same.
    assert read(orch.get_workflow(workflow.id).stream(timeout=10)).texts == texts


def test_two_hundred_streams_of_one_process_hold_one_connection_and_no_threads(
    embedded: Make,
) -> None:
    orch = embedded()
    go = threading.Event()

    def speak(text: str) -> str:
        run = current_run()
        assert run is not None
        run.write(text[: len(text) // 2])
        assert go.wait(20)
        return text

    tasks = [orch.submit(speak, f"{n} {LONG}") for n in range(4)]

    async def one(task: Task, begun: asyncio.Semaphore) -> str:
        reading = Reading()
        async for piece in task.stream(timeout=30):
            reading.take(piece)
            if len(reading.pieces) == 1:
                begun.release()
        return reading.text

    async def main() -> tuple[list[str], int, int]:
        begun = asyncio.Semaphore(0)
        streams = [asyncio.create_task(one(tasks[n % 4], begun)) for n in range(200)]
        for _ in streams:
            await begun.acquire()
        names = [thread.name for thread in threading.enumerate()]
        ours = [name for name in names if not name.startswith("asyncio_")]
        connections = len(orch._store.client.client_list(_type="pubsub"))
        go.set()
        return await asyncio.gather(*streams), len(ours), connections

    texts, threads, connections = asyncio.run(main())
    assert texts == [f"{n % 4} {LONG}" for n in range(200)]
    assert connections <= 2  # ours, and the one of Celery's results
    assert threads < 40


def test_a_loop_that_is_left_is_forgotten(embedded: Make) -> None:
    orch = embedded()
    task = orch.submit(tell, {"text": LONG, "seconds": 0.05})
    channel = orch._store.keys.text(task.id)
    for _ in task.stream(timeout=20):
        assert channel in orch._store.client.pubsub_channels()
        break

    async def leave() -> None:
        async for _ in task.stream(timeout=20):
            break

    asyncio.run(leave())
    until(lambda: channel not in orch._store.client.pubsub_channels())
    task.cancel()


def test_a_handler_may_stream_though_the_listener_waits_for_it(embedded: Make) -> None:
    orch = embedded()
    read_there: list[str] = []
    done = threading.Event()

    def stream(task_id: str) -> None:
        read_there.append(read(orch.get_task(task_id).stream(timeout=20)).text)
        done.set()

    task = orch.submit(tell, {"text": LONG, "seconds": 0.02})
    orch.on("asked", stream)
    orch.emit("asked", task.id)
    assert done.wait(20)
    assert read_there == [LONG]


def test_errors_of_streams_name_the_task_and_the_way_out(embedded: Make) -> None:
    orch = embedded()
    with pytest.raises(InvalidTaskError, match="not been submitted"):
        Task(tell, {}).stream()
    task = orch.submit(tell, {"text": LONG, "seconds": 0.1})
    for wrong in ("", "x", "1.1", "1.1:-1", "1.1:5\n", "9" * 99):
        with pytest.raises(InvalidTaskError, match="id of a piece"):
            task.stream(after=wrong)
    # Made up, but possible: all of it then.
    with pytest.raises(TaskTimeoutError, match=task.id):
        read(task.stream(timeout=0.3))

    async def impatient() -> None:
        async for _ in task.stream(timeout=0.3):
            pass

    with pytest.raises(TaskTimeoutError, match=task.id):
        asyncio.run(impatient())
    with pytest.raises(ValueError, match=r"task\.text"):
        orch.on("task.text", print, durable="group")
    task.cancel()
    assert read(task.stream(after="99.1:7", timeout=10)).texts
    orch._store.client.delete(orch._store.keys.task(task.id))
    with pytest.raises(TaskNotFoundError, match=task.id):
        read(task.stream(timeout=10))
    waiting = orch.submit(tell, {"text": LONG, "seconds": 0.1})
    threading.Timer(0.5, orch.close).start()
    with pytest.raises(OrchestratorClosedError):
        read(waiting.stream(timeout=20))


def test_text_of_a_killed_worker_is_dropped_and_marked_by_its_attempt(fleet: Fleet) -> None:
    fleet.start("threads", 2, env=FAST)
    task = fleet.orchestrator.submit(tell, {"text": LONG, "seconds": 0.03, "attempt": 2})
    reading = Reading()
    for piece in task.stream(timeout=30):
        reading.take(piece)
        if len(reading.pieces) == 3 and piece.attempt == 1:
            fleet.workers[0].kill_group()
            fleet.start("threads", 2, env=FAST, wait=False)
    assert reading.text == task.output == LONG
    assert [piece.attempt for piece in reading.pieces if piece.offset == 0] == [1, 2]


def test_a_frozen_worker_that_comes_back_writes_no_more(fleet: Fleet) -> None:
    fleet.start("threads", 1, env=FAST)
    orch = fleet.orchestrator
    # Long enough for both workers to be at it when the first one is back.
    task = orch.submit(tell, {"text": LONG * 4, "seconds": 0.05})
    reading = Reading()
    thawed = False
    for piece in task.stream(timeout=60):
        reading.take(piece)
        if len(reading.pieces) == 3 and piece.attempt == 1:
            os.killpg(fleet.workers[0].pid, signal.SIGSTOP)
            fleet.start("threads", 1, env=FAST, wait=False)
        if piece.attempt == 2 and not thawed:
            thawed = True
            os.killpg(fleet.workers[0].pid, signal.SIGCONT)
    assert thawed
    # Whichever answer came first was recorded; of the first run nothing more was shown.
    assert reading.text == task.output == LONG * 4
    assert [piece.attempt for piece in reading.pieces if piece.offset == 0][:2] == [1, 2]


def test_streams_of_a_fleet_go_on_over_a_restart_of_the_reader(fleet: Fleet) -> None:
    fleet.start("threads", 2)
    task = fleet.orchestrator.submit(tell, {"text": LONG, "seconds": 0.03})
    had, text = "", ""
    for _ in range(4):
        with Orchestrator(redis_url=fleet.url, namespace=fleet.namespace) as reader:
            for piece in reader.get_task(task.id).stream(after=had or None, timeout=20):
                text, had = text + piece.text, piece.id
                break
    for piece in task.stream(after=had):
        text += piece.text
    assert text == LONG
