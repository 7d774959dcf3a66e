"""The autoscaler's numbers, read as KEDA's Redis scaler reads them, from a real Redis."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyagent_orch import Task
from support.fleet import Fleet, until
from support.manifests import containers, of_kind
from support.raw_server import RawServer

COUNT = {"zset": "ZCARD", "set": "SCARD", "list": "LLEN", "hash": "HLEN", "none": "LLEN"}
"""What the scaler asks for, by the type of the key."""


def wanted(server: RawServer) -> float:
    """The value of the formula."""
    [scaled] = of_kind("ScaledObject")
    found = {}
    for trigger in scaled["spec"]["triggers"]:
        key = trigger["metadata"]["listName"]
        kind = str(server.run("TYPE", key))
        number = server.run(COUNT[kind], key)
        assert isinstance(number, int)
        found[trigger["name"]] = number
    formula = scaled["spec"]["advanced"]["scalingModifiers"]["formula"]
    assert sorted(formula.split(" + ")) == sorted(found)
    return sum(found.values())


@pytest.mark.timeout(90)
def test_it_counts_what_waits_in_any_priority_and_what_runs(tmp_path: Path) -> None:
    with RawServer(tmp_path) as server:
        fleet = Fleet(server.url, "default", tmp_path)
        try:
            orchestrator = fleet.orchestrator
            assert wanted(server) == 0
            tasks = [Task("sleep", 1.5, priority=1 + number % 10) for number in range(23)]
            orchestrator.submit_many(tasks)
            orchestrator.submit("sleep", 0, delay=3600)
            assert wanted(server) == 23
            fleet.start("threads", 8)
            # What was queued and runs now counts as before: nobody is stopped for it.
            until(lambda: server.run("ZCARD", "pyagent:1:default:status:running") == 8, 20)
            assert wanted(server) == 23
            orchestrator.wait(*tasks, timeout=40)
            assert wanted(server) == 0
        finally:
            fleet.close()


def test_a_worker_more_is_wanted_when_one_has_no_slot_left() -> None:
    [scaled] = of_kind("ScaledObject")
    modifiers = scaled["spec"]["advanced"]["scalingModifiers"]
    [worker] = [container for name, container in containers() if name == "worker"]
    slots = worker["args"][worker["args"].index("--concurrency") + 1]
    assert (modifiers["target"], modifiers["metricType"]) == (slots, "AverageValue")
