"""How many tasks a client submits in a second; no worker runs."""

from __future__ import annotations

import time
from collections.abc import Mapping

from benchmarks.case import Case, Metric
from benchmarks.contender import Contender


class Submit(Case):
    """The client alone."""

    def prepare(self, contender: Contender) -> None:
        """Open the client's connections."""
        contender.submit_singly(20)

    def finish(self, contender: Contender) -> None:
        """Leave nothing behind."""
        contender.server.clear()


class SubmitOne(Submit):
    """One call for each task."""

    name = "submit-one"
    metrics = (Metric("submit, one at a time", "tasks/s", "higher", bar=3.0),)

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Submit some, one after the other."""
        count = self.size.submitted_singly
        return {self.metrics[0].name: count / contender.submit_singly(count)}


class SubmitMany(Submit):
    """The fastest way that the library has for many tasks of one kind."""

    name = "submit-many"
    metrics = (Metric("submit, 5,000 at once", "tasks/s", "higher", bar=15.0),)

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Submit them."""
        contender.server.clear()
        # The first one after that brings back what the library caches about the server.
        contender.submit(0)
        count = self.size.submitted_at_once
        began = time.perf_counter()
        contender.submit_many(count)
        return {self.metrics[0].name: count / (time.perf_counter() - began)}
