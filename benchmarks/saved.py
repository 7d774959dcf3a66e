"""What `--json` wrote, read back: so that a long benchmark can be run in parts and shown as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.case import Metric
from benchmarks.rounds import Line


def read(paths: Sequence[Path]) -> tuple[list[Line], list[str], list[dict[str, Any]]]:
    """Read reports of the same contenders, or of some of them.

    Returns:
        The lines of all, the contenders in their order, and what each was measured on.
    """
    reports = [json.loads(path.read_text()) for path in paths]
    lines = [
        Line(
            one["case"],
            Metric(one["name"], one["unit"], one["better"], one["bar"], absolute=one["absolute"]),
            one["figures"],
        )
        for report in reports
        for one in report["metrics"]
    ]
    # The longest list has them all.
    names = max((list(line.figures) for line in lines), key=len)
    return lines, names, [report["machine"] for report in reports]
