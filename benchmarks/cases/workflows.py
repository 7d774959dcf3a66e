"""How long workflows of no-op tasks take, from submit to the end of the last task."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.case import Case, Metric
from benchmarks.contender import Contender, Shape
from benchmarks.draining import warm_up

CONCURRENCY = 8


class WorkflowCase(Case):
    """One workflow at a time on a worker of threads."""

    shape: Shape

    def prepare(self, contender: Contender) -> None:
        """Start the worker, and run one small workflow."""
        contender.start_worker("threads", CONCURRENCY)
        warm_up(contender, CONCURRENCY)
        contender.run_workflow(Shape(2, 2))

    def round(self, contender: Contender) -> Mapping[str, float]:
        """Run one."""
        seconds = contender.run_workflow(self.shape)
        return {self.metrics[0].name: self.shape.count / seconds}


class FanIn(WorkflowCase):
    """Many that wait for nothing, and one that waits for all."""

    name = "workflow-fan-in"
    metrics = (Metric("fan-in of 1,000", "tasks/s", "higher", bar=5.0),)
    shape = Shape(1, 1_000, joined=True)


class Layers(WorkflowCase):
    """A thousand in 30 layers, each waits for three of the layer before.

    A chain of groups is all that Celery has for it: there each waits for the whole layer before.
    """

    name = "workflow-layers"
    metrics = (Metric("990 tasks in 30 layers", "tasks/s", "higher", bar=25.0),)
    shape = Shape(30, 33, fan_in=3)


class Chain(WorkflowCase):
    """One after the other."""

    name = "workflow-chain"
    metrics = (Metric("chain of 500", "tasks/s", "higher", bar=4.0),)
    shape = Shape(500, 1)


WORKFLOWS = (FanIn, Layers, Chain)
