"""The Prometheus rules and the Grafana dashboard: which metrics they use, and which there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql
import yaml

from support.fleet import ROOT

RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
BOARD = json.loads((ROOT / "deploy" / "grafana" / "pyagent-orch.json").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
_GRAFANA = {"$__rate_interval": "5m", "$job": "x", "$instance": "x"}


def panels() -> Iterator[dict[str, Any]]:
    """The panels of the dashboard that show something."""
    return (one for one in BOARD["panels"] if one["type"] != "row")


EXPRESSIONS: list[str] = [rule["expr"] for rule in ALERTS] + [
    target["expr"] for panel in panels() for target in panel["targets"]
]
SCRAPED = {"job", "instance"}
"""The labels that Prometheus itself gives to whatever it asks for."""
_ROW = re.compile(r"^\| `(pyagent_orch_\w+)` \| (\w+)[^|]*\|([^|]*)\|", re.MULTILINE)


def documented() -> dict[str, set[str]]:
    """Maps each name on the page, as Prometheus stores it, to its labels."""
    found: dict[str, set[str]] = {}
    for name, kind, labels in _ROW.findall((ROOT / "docs" / "metrics.md").read_text()):
        # `status`: `completed`, `failed`: a label, and what stands behind its colon are values.
        ours = {one for part in labels.split(";") for one in _labels(part)}
        if kind == "histogram":
            found |= {f"{name}_count": ours, f"{name}_sum": ours, f"{name}_bucket": ours | {"le"}}
        else:
            found[name] = ours
    return found


def _labels(text: str) -> Iterator[str]:
    values = False
    for piece in re.findall(r"`\w+`|[:,]", text):
        if piece == ":":
            values = True
        elif piece != "," and not values:
            yield piece.strip("`")


def used(expression: str) -> list[tuple[str, set[str]]]:
    """The metrics of an expression of PromQL, with the labels that it selects by.

    Raises:
        ValueError: it is none.
    """
    for name, value in _GRAFANA.items():
        expression = expression.replace(name, value)
    found: list[tuple[str, set[str]]] = []

    def visit(node: object) -> bool:
        if isinstance(node, promql.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql.VectorSelector):
            labels = {one.name for one in node.matchers.matchers}
            found.append((str(node.name), labels - {"__name__"}))
        return True

    promql.walk(promql.parse(expression), visit)
    return found


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression groups or matches by."""
    groups = re.findall(r"\b(?:by|on|group_left|without)\s*\(([^)]*)\)", expression)
    return {label.strip() for group in groups for label in group.split(",") if label.strip()}
