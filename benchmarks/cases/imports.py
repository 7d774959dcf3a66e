"""What a start costs, in a fresh interpreter each time; no worker runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from statistics import median

from benchmarks.case import Case, Metric
from benchmarks.contender import Contender
from benchmarks.processes import ROOT, clean_environment

_TIMES = 3
_PROGRAM = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


class Imports(Case):
    """The interpreter's own start does not count."""

    name = "imports"
    metrics = (
        Metric("import", "ms", "lower", bar=1.6),
        # Libraries load their parts when they are used, so an import alone says little.
        Metric("import and first submit", "ms", "lower"),
    )

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Run each program some times; the median."""
        bare, first = self.metrics
        return {
            bare.name: _milliseconds(contender.imports, contender.environment),
            first.name: _milliseconds(contender.program, contender.environment),
        }


def _milliseconds(statements: str, environment: Mapping[str, str]) -> float:
    times = []
    for _ in range(_TIMES):
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(statements)],
            cwd=ROOT,
            env=clean_environment(environment),
            capture_output=True,
            text=True,
            check=True,
        )
        times.append(1000 * float(done.stdout))
    return median(times)
