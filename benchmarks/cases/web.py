"""How long it takes from a submit over HTTP to the first event that a browser gets; no worker runs.

The dashboard is really served, on loopback, with a stream of everything open. Plain Celery has
nothing like it, so the figures are ours alone.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from statistics import quantiles
from uuid import uuid4

from benchmarks.agents import noop
from benchmarks.case import Case, Metric
from benchmarks.contender import Contender
from pyagent_orch import Orchestrator

_TOKEN = "benchmark"
_HEADERS = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"}


@contextmanager
def _served(orchestrator: Orchestrator) -> Iterator[int]:
    """The dashboard on a free port of loopback."""
    from pyagent_orch.web.serving import DashboardServer

    server = DashboardServer(orchestrator, port=0, token=_TOKEN)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.port
    finally:
        server.stop()
        thread.join()


class FirstEvent(Case):
    """Submit one task after the other; each when the event of the one before is there."""

    name = "web-first-event"
    metrics = (
        Metric("HTTP submit to the browser's first event, p50", "ms", "lower"),
        Metric("HTTP submit to the browser's first event, p99", "ms", "lower"),
    )

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Only ours has it."""
        if contender.name != "pyagent_orch":
            return {}
        namespace = f"bench-{uuid4().hex[:8]}"
        with (
            Orchestrator(redis_url=contender.url, namespace=namespace) as orchestrator,
            _served(orchestrator) as port,
        ):
            times = [1000 * seconds for seconds in _times(port, self.size.calls)]
        contender.server.clear()
        percentiles = quantiles(times, n=100)
        p50, p99 = self.metrics
        return {p50.name: percentiles[49], p99.name: percentiles[98]}


def _times(port: int, count: int) -> list[float]:
    stream = HTTPConnection("127.0.0.1", port, timeout=30)
    stream.request("GET", "/api/events", headers=_HEADERS)
    lines = stream.getresponse()
    _next_subject(lines)
    sender = HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"agent": noop.__name__, "input": "x"})
    times = []
    for _ in range(count):
        began = time.perf_counter()
        sender.request("POST", "/api/tasks", body, _HEADERS)
        answer = sender.getresponse()
        content = json.loads(answer.read())
        if answer.status != HTTPStatus.CREATED:
            raise RuntimeError(content["detail"])
        while _next_subject(lines) != content["id"]:
            pass
        times.append(time.perf_counter() - began)
    sender.close()
    stream.close()
    return times


def _next_subject(lines: Iterator[bytes]) -> str:
    """Whose the next event is; empty for the one that a stream begins with."""
    for line in lines:
        if line.startswith(b"data: "):
            data = json.loads(line.removeprefix(b"data: "))
            return str(data["subject"]) if data else ""
    raise RuntimeError("the stream has ended")
