"""Prometheus metrics of an installation, by prometheus_client (extra `metrics`).

An edge above the facade: it asks for `Orchestrator.measure()` at each scrape and
gives the readings their names. docs/metrics.md is the list of names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Self, TypeVar

from pyagent_orch.exceptions import ConfigurationError, OrchestratorConnectionError
from pyagent_orch.orchestrator import Orchestrator
from pyagent_orch.store.counters import BUCKETS_MS, Counters, Histogram
from pyagent_orch.store.keys import LAYOUT
from pyagent_orch.store.measures import Measures

try:
    from prometheus_client import CollectorRegistry, generate_latest, start_http_server
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ConfigurationError(
        "metrics", "it needs a library that is not installed; pip install 'pyagent-orch[metrics]'"
    ) from error

logger = logging.getLogger(__name__)

PREFIX = "pyagent_orch_"
Key = TypeVar("Key", bound=tuple[str, ...])
Name = TypeVar("Name", bound=str)


class MetricsCollector(Collector):
    """Gives a registry of prometheus_client the metrics of one namespace.

    Safe to share between threads. Reads Redis at each scrape and nothing in between; when Redis
    is out of reach the one metric is `pyagent_orch_up 0`.

    Args:
        orchestrator: whose namespace; its owner closes it.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry asks for it at once, and Redis may be away."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read, and name what was read."""
        up = GaugeMetricFamily(f"{PREFIX}up", "Whether Redis answered this scrape.")
        try:
            measures = self._orchestrator.measure()
        except OrchestratorConnectionError as error:
            logger.warning("No metrics: %s", error)
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        yield from _metrics(measures)


def registry_of(orchestrator: Orchestrator) -> CollectorRegistry:
    """A registry with the metrics of one namespace and nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(MetricsCollector(orchestrator))
    return registry


def exposition(orchestrator: Orchestrator) -> str:
    """The metrics of one namespace in the text format of Prometheus."""
    return generate_latest(registry_of(orchestrator)).decode()


class MetricsServer:
    """Serves the metrics of one namespace over HTTP from `start` to `close`; a context manager.

    Args:
        orchestrator: whose namespace; its owner closes it.
        host: the address to listen on.
        port: the port; 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be had.
    """

    def __init__(self, orchestrator: Orchestrator, host: str, port: int) -> None:
        try:
            self._server, self._thread = start_http_server(
                port, addr=host, registry=registry_of(orchestrator)
            )
        except OSError as error:
            reason = error.strerror or error
            raise ConfigurationError(
                "metrics", f"it cannot listen on {host}:{port}: {reason}; choose another --port"
            ) from error
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._server.server_port}/metrics"
        """Where it answers."""

    def close(self) -> None:
        """Stop answering. Idempotent."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _metrics(found: Measures) -> Iterator[Metric]:
    labels = {"version": version("pyagent-orch"), "namespace": found.namespace}
    info = {**labels, "layout": str(LAYOUT)}
    yield _gauges("info", "What answers.", tuple(info), {tuple(info.values()): 1})
    yield from _readings(found)
    yield from _counters(found.counters)


def _readings(found: Measures) -> Iterator[Metric]:
    """What is so at this moment."""
    queues = {(one.queue, str(one.priority)): one for one in found.queues}
    place = ("queue", "priority")
    yield _gauge("scrape_duration_seconds", "How long reading took.", found.seconds)
    yield _gauge("workers", "Workers with a good lease.", found.workers)
    yield _gauge("worker_slots", "How many tasks they can run at once, together.", found.slots)
    if found.swept_seconds is not None:
        yield _gauge(
            "last_sweep_age_seconds",
            "How long ago a worker last looked for lost work.",
            max(0.0, found.swept_seconds),
        )
    yield _gauge("rejected_messages", "Messages that were put aside.", found.rejected)
    yield _gauges(
        "queue_depth",
        "Tasks that wait for a worker.",
        place,
        {key: one.depth for key, one in queues.items()},
    )
    yield _gauges(
        "queue_oldest_age_seconds",
        "How long the oldest of them has waited.",
        place,
        {key: one.oldest_seconds for key, one in queues.items()},
    )
    yield _gauges("tasks", "Records of tasks in each state.", ("status",), _single(found.tasks))
    yield _gauges("workflows", "Workflows in each state.", ("status",), _single(found.workflows))
    yield _gauge("delayed_tasks", "Tasks that may not start yet.", found.delayed)
    yield _gauge(
        "delayed_overdue_seconds",
        "How long the first of them should have been queued.",
        found.delayed_overdue_seconds,
    )
    yield _gauge("jobs", "Scheduled jobs.", found.jobs)
    yield _gauge(
        "job_overdue_seconds",
        "How long the first due job has been due.",
        found.job_overdue_seconds,
    )
    yield _counter("events", "Events written.", (), {(): found.events})
    lags = {(one.name,): one.lag for one in found.groups if one.lag is not None}
    yield _gauges("event_lag", "Events that a durable handler was not given yet.", ("group",), lags)
    yield _gauges(
        "event_pending",
        "Events that it was given and has not acknowledged.",
        ("group",),
        {(one.name,): one.pending for one in found.groups},
    )


def _counters(found: Counters) -> Iterator[Metric]:
    """What the acts counted."""
    yield _counter(
        "tasks_submitted", "Tasks that were recorded.", ("queue",), _single(found.submitted)
    )
    yield _counter("tasks_finished", "Tasks that became final.", ("name", "status"), found.finished)
    yield _histogram(
        "attempt_duration_seconds",
        "How long an attempt ran.",
        ("name", "status"),
        found.attempts,
    )
    yield _counter("failures", "Attempts that failed.", ("kind", "outcome"), found.failures)
    yield _counter(
        "workflows_finished",
        "Workflows that became final.",
        ("status",),
        _single(found.workflows),
    )
    yield _counter("workers_lost", "Workers whose lease ran out.", (), {(): found.workers_lost})
    yield _counter(
        "tasks_recovered",
        "Tasks that were queued again, their worker or message being gone.",
        ("reason",),
        _single(found.recovered),
    )
    yield _counter(
        "tasks_released",
        "Running tasks that a stopping worker gave back.",
        (),
        {(): found.released},
    )
    yield from _models(found)
    yield _histogram(
        "job_lateness_seconds",
        "How late runs of jobs were recorded.",
        (),
        {(): found.lateness},
    )
    yield _counter("job_runs", "Runs of jobs that were recorded.", ("how",), _single(found.fired))
    yield _counter(
        "job_ticks_left_out", "Due times without a run.", ("reason",), _single(found.left_out)
    )


def _models(found: Counters) -> Iterator[Metric]:
    pair = ("agent", "model")
    spent = found.spent.items()
    yield _counter(
        "model_requests", "Requests to models.", pair, {key: one.requests for key, one in spent}
    )
    yield _counter(
        "tokens",
        "Tokens.",
        (*pair, "direction"),
        {(*key, "input"): one.input_tokens for key, one in spent}
        | {(*key, "output"): one.output_tokens for key, one in spent},
    )
    yield _counter(
        "cost_usd",
        "US dollars, where the price is known.",
        pair,
        {key: one.cost_usd for key, one in spent},
    )
    yield _counter(
        "unpriced_requests",
        "Requests whose price is not known.",
        pair,
        {key: one.unpriced_requests for key, one in spent},
    )


# --- families ---------------------------------------------------------------------------------


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return _gauges(name, meaning, (), {(): value})


def _gauges(name: str, meaning: str, labels: Sequence[str], values: Mapping[Key, float]) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, meaning, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _counter(name: str, meaning: str, labels: Sequence[str], values: Mapping[Key, float]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, meaning, labels=labels)
    for key, value in sorted(values.items()):
        family.add_metric(key, value)
    return family


def _histogram(
    name: str, meaning: str, labels: Sequence[str], values: Mapping[Key, Histogram]
) -> Metric:
    family = HistogramMetricFamily(PREFIX + name, meaning, labels=labels)
    for key, histogram in sorted(values.items()):
        total, buckets = 0, []
        for bound in BUCKETS_MS:
            total += histogram.buckets.get(str(bound), 0)
            buckets.append((f"{bound / 1000:g}", total))
        buckets.append(("+Inf", histogram.count))
        family.add_metric(key, buckets, histogram.sum_seconds)
    return family


def _single(values: Mapping[Name, int]) -> dict[tuple[Name], float]:
    return {(key,): value for key, value in values.items()}
