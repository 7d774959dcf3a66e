"""The graph itself: ids, edges, and what can be asked about them.

Ground layer, pure, without recursion, so that depth is no limit.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from pyagent_orch.graph.reduction import without_redundant
from pyagent_orch.graph.segments import Segment, decompose


@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph of tasks. Made by `build_graph`, which validates it.

    Frozen, may be shared between threads. Each question is answered once and
    kept. `ids`, the tuples of `parents` and of `children` are in listed order:
    the order in which the workflow lists its tasks.

    Args:
        workflow: the workflow's name or id, for texts.
        ids: the tasks.
        names: maps each id to its name; names may repeat.
        parents: maps each id to the ids it waits for, without repetition.
    """

    workflow: str
    ids: tuple[str, ...]
    names: Mapping[str, str]
    parents: Mapping[str, tuple[str, ...]]

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """Maps each id to the ids that wait for it."""
        found: dict[str, list[str]] = {task: [] for task in self.ids}
        for task in self.ids:
            for parent in self.parents[task]:
                found[parent].append(task)
        return {task: tuple(waiting) for task, waiting in found.items()}

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The tasks that wait for nothing."""
        return tuple(task for task in self.ids if not self.parents[task])

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """The tasks that nothing waits for."""
        return tuple(task for task in self.ids if not self.children[task])

    def order(self) -> tuple[str, ...]:
        """All tasks, each after what it waits for; in listed order where that is free."""
        return self._order

    def levels(self) -> tuple[tuple[str, ...], ...]:
        """The tasks by the length of the longest way to them; the first level are the roots."""
        depth: dict[str, int] = {}
        for task in self._order:
            depth[task] = max((depth[parent] + 1 for parent in self.parents[task]), default=0)
        found: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
        for task in self.ids:
            found[depth[task]].append(task)
        return tuple(map(tuple, found))

    def descendants(self, task: str) -> tuple[str, ...]:
        """All that waits for the task, directly or not, in listed order.

        Raises:
            KeyError: there is no task of this id.
        """
        return self._reach(task, self.children)

    def ancestors(self, task: str) -> tuple[str, ...]:
        """All that the task waits for, directly or not, in listed order.

        Raises:
            KeyError: there is no task of this id.
        """
        return self._reach(task, self.parents)

    def reduction(self) -> Graph:
        """The graph with the fewest edges in which each task waits for the same ones."""
        return self._reduction

    def sequential(self) -> Graph:
        """The graph in which each task also waits for the one before it in `order()`."""
        order, position = self._order, self._position
        parents = {order[0]: self.parents[order[0]]} if order else {}
        for before, task in itertools.pairwise(order):
            waits = {*self.parents[task], before}
            parents[task] = tuple(sorted(waits, key=position.__getitem__))
        return replace(self, parents=parents)

    def segments(self) -> tuple[Segment, ...]:
        """The reduced graph as chains and chords; see `segments.decompose`."""
        return self._segments

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {task: index for index, task in enumerate(self.ids)}

    @cached_property
    def _order(self) -> tuple[str, ...]:
        # Shorter than `ids` if there is a cycle; only `build_graph` sees that.
        waiting = {task: len(parents) for task, parents in self.parents.items()}
        free = [index for index, task in enumerate(self.ids) if not waiting[task]]
        found = []
        while free:
            task = self.ids[heapq.heappop(free)]
            found.append(task)
            for child in self.children[task]:
                waiting[child] -= 1
                if not waiting[child]:
                    heapq.heappush(free, self._position[child])
        return tuple(found)

    @cached_property
    def _reduction(self) -> Graph:
        parents = without_redundant(self._order, self.parents, self.children)
        return self if parents == self.parents else replace(self, parents=parents)

    @cached_property
    def _segments(self) -> tuple[Segment, ...]:
        reduced = self._reduction
        return decompose(reduced.order(), reduced.parents, reduced.children)

    def _reach(self, task: str, edges: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        seen: set[str] = set()
        ahead = list(edges[task])
        while ahead:
            found = ahead.pop()
            if found not in seen:
                seen.add(found)
                ahead.extend(edges[found])
        return tuple(sorted(seen, key=self._position.__getitem__))
