"""The figures for people and for machines."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from benchmarks.contenders.floor import Floor
from benchmarks.rounds import Line


def table(lines: Sequence[Line], names: Sequence[str]) -> str:
    """A table: medians, in brackets the ratios to the first contender, ours to the floor, and
    the bars.

    Args:
        lines: the figures.
        names: the contenders; the last one is ours, which the bars are for.
    """
    baseline, ours = names[0], names[-1]
    floored = Floor.name in names
    heads = ["", "unit", *names, *(["to the floor"] if floored else []), "must be", ""]
    rows = []
    for line in lines:
        metric = line.metric
        bar = ""
        if metric.bar is not None:
            bar = f"{'>=' if metric.better == 'higher' else '<='} {metric.bar:g}"
            bar += "" if metric.absolute else "x"
        rows.append(
            [
                metric.name,
                metric.unit,
                *(_cell(line, name, baseline) for name in names),
                *([_times(line.ratio(ours, Floor.name))] if floored else []),
                bar,
                "" if holds(line, ours, baseline) else "MISSED",
            ]
        )
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    text = []
    for row in [heads, ["-" * width for width in widths], *rows]:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    return "\n".join(text)


def holds(line: Line, ours: str, baseline: str) -> bool:
    """Whether a bar is reached; true where there is none, or nothing was measured."""
    found = line.median(ours) if line.metric.absolute else line.ratio(ours, baseline)
    return found is None or line.metric.holds(found)


def as_json(lines: Sequence[Line], names: Sequence[str], machine: dict[str, Any]) -> dict[str, Any]:
    """Everything, round by round."""
    return {
        "machine": machine,
        "metrics": [
            {
                "case": line.case,
                "name": line.metric.name,
                "unit": line.metric.unit,
                "better": line.metric.better,
                "bar": line.metric.bar,
                "absolute": line.metric.absolute,
                "holds": holds(line, names[-1], names[0]),
                "figures": line.figures,
                "medians": {name: line.median(name) for name in names},
                "ratios": {name: line.ratio(name, names[0]) for name in names[1:]},
            }
            for line in lines
        ],
    }


def describe_machine(server: str) -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        # Above the number of cores the machine was busy with something else.
        "load": [round(load, 1) for load in os.getloadavg()],
        "server": server,
        **{name: version(name) for name in ("celery", "kombu", "redis", "pyagent-orch")},
    }


def _cell(line: Line, name: str, baseline: str) -> str:
    ratio = line.ratio(name, baseline)
    figure = _figure(line.median(name))
    return figure if name == baseline or ratio is None else f"{figure} ({_times(ratio)})"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
