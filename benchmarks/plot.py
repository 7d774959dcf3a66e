"""The ratios as a picture: a row of bars for each figure. The only part that needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.rounds import Line


def draw(lines: Sequence[Line], names: Sequence[str], path: Path) -> None:
    """Draw how many times as good each contender is as the first, on a logarithmic scale.

    Args:
        lines: the figures.
        names: the contenders; the first is the baseline, the last is ours.
        path: where to; its ending says in which format.

    Raises:
        SystemExit: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install matplotlib") from None
    baseline, others = names[0], names[1:]
    shown = [line for line in lines if line.ratio(names[-1], baseline)]
    figure = Figure(figsize=(9, 0.8 + len(shown) * (0.35 + 0.12 * len(others))))
    axes = figure.add_subplot()
    height = 0.8 / len(others)
    for place, name in enumerate(others):
        bars = [(row, _goodness(line, name, baseline)) for row, line in enumerate(shown)]
        there = [(row + (place + 0.5) * height - 0.4, good) for row, good in bars if good]
        axes.barh(
            [row for row, _ in there],
            [good - 1 for _, good in there],
            height * 0.9,
            left=1,
            label=name,
            color="#17693a" if name == names[-1] else None,
            alpha=1 if name == names[-1] else 0.55,
        )
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(shown)), [line.metric.name for line in shown])
    axes.invert_yaxis()
    axes.set_xlabel(f"times as good as {baseline} (right is better)")
    axes.legend(loc="lower right", fontsize="small")
    figure.tight_layout()
    figure.savefig(path)


def _goodness(line: Line, name: str, baseline: str) -> float | None:
    ratio = line.ratio(name, baseline)
    if not ratio:
        return None
    return ratio if line.metric.better == "higher" else 1 / ratio
