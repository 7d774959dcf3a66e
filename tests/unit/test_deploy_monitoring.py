"""Prometheus rules and Grafana dashboard: only metrics that exist, and a page for each alert."""

from __future__ import annotations

import re

import promql_parser as promql
import pytest

from support.fleet import ROOT
from support.metric_names import (
    ALERTS,
    BOARD,
    EXPRESSIONS,
    RULES,
    SCRAPED,
    documented,
    grouped_by,
    panels,
    used,
)

KINDS = {"row", "stat", "timeseries"}


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=range(len(EXPRESSIONS)))
def test_an_expression_uses_only_metrics_and_labels_that_exist(expression: str) -> None:
    known = documented()
    found = used(expression)
    assert found
    for name, labels in found:
        assert name in known, f"{name} is not in docs/metrics.md"
        assert labels <= known[name] | SCRAPED, name
    all_labels = set().union(*(known[name] for name, _ in found))
    assert grouped_by(expression) <= all_labels | SCRAPED


def test_what_is_no_promql_would_be_seen() -> None:
    with pytest.raises(ValueError, match="promql"):
        used("sum by (queue pyagent_orch_queue_depth)")
    assert "pyagent_orch_queue_depth" in documented()
    assert documented()["pyagent_orch_tasks_finished_total"] == {"name", "status"}


def test_every_alert_has_what_prometheus_wants_and_a_section_with_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    sections = re.findall(r"^### (PyagentOrch\w+)$", page, re.MULTILINE)
    assert sections == [rule["alert"] for rule in ALERTS]
    assert set(RULES) == {"groups"}
    for group in RULES["groups"]:
        assert set(group) == {"name", "rules"}
    for rule in ALERTS:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        if "for" in rule:
            assert promql.parse_duration(rule["for"]).total_seconds() >= 60
        assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        # A summary may only use labels that the alert's series have.
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        known = set().union(*(documented()[name] for name, _ in used(rule["expr"])))
        assert named <= known | SCRAPED, rule["alert"]


def test_the_dashboard_can_be_imported() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    assert {panel["type"] for panel in BOARD["panels"]} == KINDS
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    for panel in panels():
        # Whichever Prometheus the reader has.
        assert panel["datasource"]["uid"] == "${datasource}"
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))
    assert [one["name"] for one in BOARD["templating"]["list"]] == ["datasource", "job", "instance"]


def test_every_metric_that_operators_page_on_is_on_the_dashboard() -> None:
    shown = {
        name for panel in panels() for one in panel["targets"] for name, _ in used(one["expr"])
    }
    alerted = {name for rule in ALERTS for name, _ in used(rule["expr"])}
    assert alerted <= shown
