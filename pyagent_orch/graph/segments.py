"""A reduced graph cut into Celery's two forms: chains and chords.

Ground layer, pure. Works on plain mappings, so that `dag.py` may import it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Chain:
    """A run of tasks with one way in: each follows the one before it.

    Args:
        tasks: their ids, in the order they run; at least one.
        after: the id of the task that the first one waits for; None when it
            waits for nothing. Several chains after the same task are a group.
    """

    tasks: tuple[str, ...]
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Chord:
    """A join: a task that waits for several.

    Args:
        header: the ids of all that it waits for, in listed order; at least two.
        body: the id of the join itself.
    """

    header: tuple[str, ...]
    body: str


Segment: TypeAlias = Chain | Chord


def decompose(
    order: Sequence[str],
    parents: Mapping[str, tuple[str, ...]],
    children: Mapping[str, tuple[str, ...]],
) -> tuple[Segment, ...]:
    """Cut a reduced graph into chains and chords.

    Every task stands in exactly one chain or is the body of exactly one chord,
    and every edge is said exactly once: inside a chain, by a chain's `after`, or
    from a header to its body. Chains are as long as they can be: a run goes on
    into the only child with one way in, also where the task feeds joins too; it
    ends where there is no such child, or several (a group starts there).

    Args:
        order: the ids in topological order.
        parents: maps each id to what it waits for, without redundant edges.
        children: the same edges the other way.

    Returns:
        The segments, in the order in which their first task can start.
    """

    def follower(task: str) -> str | None:
        single = [child for child in children[task] if len(parents[child]) == 1]
        return single[0] if len(single) == 1 else None

    segments: list[Segment] = []
    placed: set[str] = set()
    for task in order:
        if task in placed:
            continue
        if len(parents[task]) > 1:
            segments.append(Chord(parents[task], task))
            continue
        run = [task]
        while (following := follower(run[-1])) is not None:
            run.append(following)
        placed.update(run)
        segments.append(Chain(tuple(run), parents[task][0] if parents[task] else None))
    return tuple(segments)
