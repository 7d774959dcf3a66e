"""One web process under load: streams, submits, large answers, long lists; what the loop waits."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from pyagent_orch import Orchestrator, Task
from support.fleet import Fleet
from support.web import app_of, served

STREAMS = 200
SUBMITS_PER_SECOND = 50
SECONDS = 4
LONGEST_WAIT = 0.25


class Watchdog:
    """How long what is due on an event loop waits for it."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def watch(self) -> None:
        while True:
            due = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            self.waits.append(max(0.0, time.perf_counter() - due))


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """An app on the test's own loop, so that the watchdog waits where requests do."""
    config = uvicorn.Config(app, port=0, log_level="warning", access_log=False,
                            timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


class Reader:
    """A cheap client of many streams, which takes no more of the machine than it must."""

    def __init__(self, address: str) -> None:
        self.host, _, port = address.removeprefix("http://").partition(":")
        self.port = int(port)

    async def follow(self, path: str, opened: asyncio.Event) -> int:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
        events = 0
        try:
            while chunk := await reader.read(65_536):
                events += chunk.count(b"event: event")
                if b"event: snapshot" in chunk:
                    opened.set()
        finally:
            writer.close()
        return events


async def _load(
    orchestrator: Orchestrator, watched: list[str]
) -> tuple[Watchdog, list[float], int]:
    async with serving(app_of(orchestrator)) as address:
        reader = Reader(address)
        opened = [asyncio.Event() for _ in range(STREAMS)]
        # Some follow everything, as pages do; the others a task each.
        paths = [
            "/events" if n % 10 == 0 else f"/tasks/{watched[n]}/events" for n in range(STREAMS)
        ]
        streams = [
            asyncio.create_task(reader.follow(path, one))
            for path, one in zip(paths, opened, strict=True)
        ]
        for one in opened:
            await asyncio.wait_for(one.wait(), 30)
        watchdog = Watchdog()
        watching = asyncio.create_task(watchdog.watch())
        took: list[float] = []
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=address, timeout=20, limits=limits) as client:

            async def submit(number: int) -> None:
                began = time.perf_counter()
                answer = await client.post("/tasks", json={"agent": "echo", "input": number})
                took.append(time.perf_counter() - began)
                assert answer.status_code == 201

            submits = []
            begin = time.perf_counter()
            for number in range(SECONDS * SUBMITS_PER_SECOND):
                submits.append(asyncio.create_task(submit(number)))
                due = begin + (number + 1) / SUBMITS_PER_SECOND
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await asyncio.gather(*submits)
        watching.cancel()
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        return watchdog, took, len(took)


def test_200_streams_and_50_submits_a_second_keep_no_request_waiting(
    fleet: Fleet, record_property: Callable[[str, object], None]
) -> None:
    fleet.start("threads", 4)
    orchestrator = fleet.orchestrator
    waiting = [Task("echo", number, delay=3600) for number in range(STREAMS)]
    watched = [task.id for task in orchestrator.submit_many(waiting)]
    watchdog, took, submitted = asyncio.run(_load(orchestrator, watched))
    longest, p99 = max(watchdog.waits), statistics.quantiles(watchdog.waits, n=100)[98]
    record_property(
        "figures",
        f"loop waits: longest {1000 * longest:.0f} ms, p99 {1000 * p99:.1f} ms; "
        f"submit p50 {1000 * statistics.median(took):.1f} ms",
    )
    assert submitted == SECONDS * SUBMITS_PER_SECOND
    assert longest < LONGEST_WAIT


@pytest.mark.parametrize("size", [5_000_000])
def test_large_and_hostile_answers_do_not_hold_the_loop_up(size: int) -> None:
    async def run(orchestrator: Orchestrator) -> tuple[Watchdog, str]:
        async with serving(app_of(orchestrator)) as address:
            watchdog = Watchdog()
            watching = asyncio.create_task(watchdog.watch())
            async with httpx.AsyncClient(base_url=address, timeout=60) as client:
                body = {"agent": "web_echo", "input": "<script>" * (size // 8)}
                task = (await client.post("/tasks", json=body)).json()["id"]
                await orchestrator.get_task(task)
                answer = await client.get(f"/tasks/{task}")
            watching.cancel()
            return watchdog, answer.json()["output"]

    with Orchestrator() as orchestrator:
        orchestrator.start()
        watchdog, output = asyncio.run(run(orchestrator))
    assert output == "<script>" * (size // 8)
    assert max(watchdog.waits) < LONGEST_WAIT


@pytest.fixture(scope="module")
def many(server: Any) -> Iterator[Orchestrator]:
    """A namespace with many runs, of which nobody does any."""
    from uuid import uuid4

    with Orchestrator(redis_url=server.url, namespace=f"m{uuid4().hex[:8]}") as orchestrator:
        for _ in range(10):
            orchestrator.submit_many(
                Task("echo", 1, name=f"run {number % 7}") for number in range(2_000)
            )
        yield orchestrator


def test_a_page_of_20000_runs_costs_the_same_at_its_end(
    many: Orchestrator, record_property: Callable[[str, object], None]
) -> None:
    with served(app_of(many)) as client:
        seen, times, cursor = 0, [], None
        while True:
            query = {"limit": 500} | ({"cursor": cursor} if cursor else {})
            began = time.perf_counter()
            page = client.get("/tasks", params=query).json()
            times.append(time.perf_counter() - began)
            seen += len(page["items"])
            cursor = page["next"]
            if cursor is None:
                break
        assert seen == 20_000
        third = len(times) // 3
        first, last = statistics.median(times[:third]), statistics.median(times[-third:])
        record_property("figures", f"page of 500: {1000 * first:.0f} ms, {1000 * last:.0f} ms")
        assert last < 2 * first + 0.05
