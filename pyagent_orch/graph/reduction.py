"""Which dependencies say nothing new: the transitive reduction.

Ground layer, pure. Works on plain mappings, so that `dag.py` may import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def without_redundant(
    order: Sequence[str],
    parents: Mapping[str, tuple[str, ...]],
    children: Mapping[str, tuple[str, ...]],
) -> dict[str, tuple[str, ...]]:
    """Drop every edge that a longer path between the same two tasks implies.

    Reachability is kept in Python integers as bit sets. Only a task with several
    ways out can be at the start of a redundant edge, and only one with several
    ways in at its end; the side with fewer of them gets the bits.

    Args:
        order: the ids in topological order.
        parents: maps each id to what it waits for.
        children: the same edges the other way.

    Returns:
        `parents` without the redundant edges; unique for an acyclic graph.
    """
    forks = sum(len(children[task]) > 1 for task in order)
    joins = sum(len(parents[task]) > 1 for task in order)
    if forks <= joins:
        redundant = _redundant(order, parents, children)
    else:
        turned = _redundant(reversed(order), children, parents)
        redundant = {(first, last) for last, first in turned}
    if not redundant:
        return dict(parents)
    return {
        task: tuple(parent for parent in before if (parent, task) not in redundant)
        for task, before in parents.items()
    }


def _redundant(
    order: Iterable[str],
    before: Mapping[str, tuple[str, ...]],
    after: Mapping[str, tuple[str, ...]],
) -> set[tuple[str, str]]:
    """Find the edges (start, end) whose start is also reached through another way into the end."""
    bit: dict[str, int] = {}
    reached: dict[str, int] = {}  # maps a task to the bits of all that lies strictly before it
    waiting = {task: len(following) for task, following in after.items()}
    redundant: set[tuple[str, str]] = set()
    for task in order:
        starts = before[task]
        union = 0
        for start in starts:
            union |= reached[start]
        if len(starts) > 1:
            redundant.update(
                (start, task) for start in starts if start in bit and union >> bit[start] & 1
            )
        for start in starts:
            if start in bit:
                union |= 1 << bit[start]
            waiting[start] -= 1
            if not waiting[start]:
                # Nobody asks again: only the sets at the front of the sweep stay in memory.
                del reached[start]
        reached[task] = union
        if len(after[task]) > 1:
            bit[task] = len(bit)
    return redundant
