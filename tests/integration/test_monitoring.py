"""The rules and the dashboard on a real exposition: what they ask for is what is served."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pyagent_orch import Orchestrator, Task, Workflow, agent
from pyagent_orch.metrics import exposition
from support.metric_names import ALERTS, EXPRESSIONS, documented, used

ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}


@pytest.fixture
def text(embedded: Callable[..., Orchestrator]) -> str:
    """Of an installation in which something of each kind has happened."""
    orchestrator = embedded()

    def broken(_: object) -> None:
        raise LookupError("no")

    @orchestrator.on("task.*", durable="watcher")
    def watch(_: object) -> None: ...

    orchestrator.submit_workflow(Workflow(name="w", tasks=[Task(broken, name="first")]))
    writer = agent("You write", name="writer")
    task = orchestrator.submit(writer, "Write")
    job = orchestrator.schedule(agent=writer, input="x", interval_seconds=3600)
    run = orchestrator.run_now(job.id)
    orchestrator.wait(task, run, timeout=30)
    return exposition(orchestrator)


def test_every_metric_that_is_asked_for_is_served_with_these_labels(text: str) -> None:
    served: set[str] = set()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        served |= {family.name + ending for ending in ENDINGS[family.type]}
        for sample in family.samples:
            labels[sample.name] = set(sample.labels)
    asked = {name for expression in EXPRESSIONS for name, _ in used(expression)}
    assert asked <= served
    # Most of them have happened, so that the labels are real ones, too.
    assert len(asked & set(labels)) > len(asked) * 2 / 3
    known = documented()
    assert {name: found for name, found in labels.items() if found != known[name]} == {}


def test_no_alert_is_on_where_all_is_well(text: str) -> None:
    """As far as a threshold on one number can be read without a Prometheus."""
    values: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values[sample.name] = max(values.get(sample.name, 0.0), sample.value)
    compared = 0
    for rule in ALERTS:
        name, _, rest = rule["expr"].partition(" ")
        if name in values and len(rest.split()) == 2:
            operator, limit = rest.split()
            compared += 1
            assert not {"==": values[name] == float(limit), ">": values[name] > float(limit)}[
                operator
            ], rule["alert"]
    assert compared >= 4
