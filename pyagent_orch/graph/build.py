"""From what a user writes to a sound graph, or to an error that says what is wrong.

Ground layer, pure. Dependencies come by id or by name; an id wins over a name.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType

from pyagent_orch.exceptions import (
    CycleError,
    DuplicateTaskError,
    InvalidWorkflowError,
    UnknownDependencyError,
)
from pyagent_orch.graph.dag import Graph

_NOTHING: Mapping[str, Iterable[str]] = MappingProxyType({})
_SHOWN = 12
"""How many known names an error lists."""


def build_graph(
    workflow: str,
    tasks: Sequence[tuple[str, str]],
    dependencies: Mapping[str, Iterable[str]],
    extra: Mapping[str, Iterable[str]] = _NOTHING,
) -> Graph:
    """Resolve names, validate, and make the graph. Linear but for sorting.

    Args:
        workflow: the workflow's name or id, for errors.
        tasks: id and name of each task, in listed order.
        dependencies: maps a task's id or name to the ids or names it waits for;
            a lone string counts as one of them.
        extra: maps ids to ids: what tracing the inputs has found.

    Raises:
        InvalidWorkflowError: there is no task.
        DuplicateTaskError: two tasks share an id, or a name that a dependency uses.
        UnknownDependencyError: a dependency names no task; near names are suggested.
        CycleError: the dependencies go in a circle, with its path by names.
    """
    if not tasks:
        raise InvalidWorkflowError(workflow, "it has no tasks; give it at least one")
    directory = _Directory(workflow, tasks)
    waits: dict[str, dict[str, None]] = {task: {} for task in directory.names}
    for task, parent in itertools.chain(
        _listed_edges(directory, dependencies), _traced_edges(directory, extra)
    ):
        if task == parent:
            label = directory.label(task)
            raise CycleError(workflow, [label, label])
        waits[task][parent] = None

    position = {task: index for index, task in enumerate(waits)}
    parents = {
        task: tuple(sorted(needed, key=position.__getitem__)) for task, needed in waits.items()
    }
    graph = Graph(workflow, tuple(waits), directory.names, parents)
    if len(graph.order()) < len(graph.ids):
        raise CycleError(workflow, [directory.label(task) for task in _cycle(graph)])
    return graph


def _listed_edges(
    directory: _Directory, dependencies: Mapping[str, Iterable[str]]
) -> Iterator[tuple[str, str]]:
    for waiting, needed in dependencies.items():
        task = directory.find(waiting, "`dependencies` has an entry for")
        for name in (needed,) if isinstance(needed, str) else needed:
            yield task, directory.find(name, f"task {directory.label(task)!r} waits for")


def _traced_edges(
    directory: _Directory, extra: Mapping[str, Iterable[str]]
) -> Iterator[tuple[str, str]]:
    for task, needed in extra.items():
        if task not in directory.names:
            raise directory.unknown(task, "an input was traced for")
        for parent in needed:
            if parent not in directory.names:
                use = f"the input of task {directory.label(task)!r} uses the output of"
                raise directory.unknown(parent, use)
            yield task, parent


class _Directory:
    """The tasks of a workflow by id and by name, and the errors for what is not there."""

    def __init__(self, workflow: str, tasks: Sequence[tuple[str, str]]) -> None:
        self.workflow = workflow
        self.names = dict(tasks)
        self.by_name: dict[str, list[str]] = {}
        if len(self.names) < len(tasks):
            repeated, times = Counter(task for task, _ in tasks).most_common(1)[0]
            raise DuplicateTaskError(
                workflow, f"{times} of its tasks have the id {repeated!r}; give each its own"
            )
        for task, name in tasks:
            self.by_name.setdefault(name, []).append(task)

    def find(self, wanted: object, use: str) -> str:
        """Give the id for an id or a name; `use` says what asks, for errors."""
        if isinstance(wanted, str):
            if wanted in self.names:
                return wanted
            found = self.by_name.get(wanted, [])
            if len(found) == 1:
                return found[0]
            if found:
                raise DuplicateTaskError(
                    self.workflow,
                    f"{use} {wanted!r}, which is the name of {len(found)} tasks "
                    f"({_listed(found)}); use an id, or give each its own name",
                )
        raise self.unknown(wanted, use)

    def unknown(self, wanted: object, use: str) -> UnknownDependencyError:
        """The error for a name or id that no task has."""
        near = get_close_matches(str(wanted), [*self.by_name, *self.names], 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return UnknownDependencyError(
            self.workflow, f"{use} unknown {wanted!r}{hint}; known: {_listed(self.by_name)}"
        )

    def label(self, task: str) -> str:
        """The task's name, with its id where the name is not enough."""
        name = self.names[task]
        return name if len(self.by_name[name]) == 1 else f"{name} ({task})"


def _listed(names: Iterable[str]) -> str:
    known = [repr(name) for name in names]
    rest = len(known) - _SHOWN
    return ", ".join(known[:_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def _cycle(graph: Graph) -> list[str]:
    """Walk back from a task that never became free; what repeats is a circle."""
    free = set(graph.order())
    task = next(task for task in graph.ids if task not in free)
    walked: dict[str, None] = {}
    while task not in walked:
        walked[task] = None
        task = next(parent for parent in graph.parents[task] if parent not in free)
    circle = list(walked)[list(walked).index(task) :]
    circle.reverse()  # from the walk back to the way the work would go
    position = {task: index for index, task in enumerate(graph.ids)}
    first = circle.index(min(circle, key=position.__getitem__))
    circle = circle[first:] + circle[:first]
    return [*circle, circle[0]]
