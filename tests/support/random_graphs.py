"""Random workflows, and the plain interpreter that says how each has to end.

The interpreter goes through the tasks in order, once, with no concurrency and no
Redis; it shares no code with the engine.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Node:
    """One task of a random workflow, and what becomes of it."""

    name: str
    parents: tuple[str, ...] = ()
    rescues: tuple[str, ...] = ()
    need: int | None = None
    when: bool | None = None
    failures: int = 0
    """How many attempts fail, from the first on."""
    attempts: int = 1
    """How many it is given."""

    @property
    def fails(self) -> bool:
        return self.failures >= self.attempts


@dataclass
class Expected:
    """How a node ends: completed, failed, or skipped as `bad` or `out`."""

    state: str
    output: Any = None
    runs: int = 0
    context: Mapping[str, Any] = field(default_factory=dict)


def answer(name: str, context: Mapping[str, Any]) -> str:
    """What a task gives: a different text for any other name or context."""
    told = json.dumps([name, sorted(context.items())])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def random_nodes(rng: random.Random) -> list[Node]:
    """A graph of 1 to 60 tasks, in an order in which each comes after what it waits for."""
    size = rng.choice([1, 2, 3, rng.randint(4, 12), rng.randint(10, 60), rng.randint(30, 60)])
    width = rng.choice([1, 2, 5, size])
    most = rng.choice([1, 2, 3, 8])
    lonely, failing = rng.choice([0.0, 0.1, 0.4]), rng.choice([0.0, 0.05, 0.25])
    nodes: list[Node] = []
    for place in range(size):
        node = Node(f"t{place}")
        near = nodes[max(0, place - width) :] if rng.random() < 0.8 else nodes
        if near and rng.random() >= lonely:
            chosen = rng.sample(near, min(len(near), rng.randint(1, most)))
            node.parents = tuple(one.name for one in chosen)
        if nodes and not node.parents and rng.random() < 0.3:
            chosen = rng.sample(nodes, min(len(nodes), rng.randint(1, 2)))
            node.rescues = tuple(one.name for one in chosen)
        if len(node.parents) > 1 and rng.random() < 0.15:
            node.need = rng.randint(1, len(node.parents))
        if rng.random() < 0.08:
            node.when = rng.random() < 0.5
        draw = rng.random()
        if draw < failing:
            node.attempts = rng.randint(1, 3)
            node.failures = node.attempts
        elif draw < failing + 0.15:
            node.attempts = rng.randint(2, 3)
            node.failures = rng.randint(1, node.attempts - 1)
        nodes.append(node)
    return nodes


def interpret(
    nodes: Iterable[Node], before: Mapping[str, Expected] | None = None
) -> dict[str, Expected]:
    """Say how every task ends.

    Args:
        nodes: each after what it waits for.
        before: how they ended the first time, when this is the retry: what completed stays.
    """
    ended: dict[str, Expected] = {}
    for node in nodes:
        if before is not None and before[node.name].state == "completed":
            ended[node.name] = before[node.name]
        else:
            ended[node.name] = _end(node, ended)
    return ended


def _end(node: Node, ended: Mapping[str, Expected]) -> Expected:
    if node.rescues:
        if not any(ended[name].state == "failed" for name in node.rescues):
            return Expected("out")
    else:
        kinds = [_kind(ended[name].state) for name in node.parents]
        if node.need is not None:
            if kinds.count("ok") < node.need:
                return Expected("bad" if "bad" in kinds else "out")
        elif "bad" in kinds:
            return Expected("bad")
        elif kinds and set(kinds) == {"out"}:
            return Expected("out")
    if node.when is False:
        return Expected("out")
    if node.fails:
        return Expected("failed", runs=node.attempts)
    context = {
        name: ended[name].output for name in node.parents if ended[name].state == "completed"
    }
    # Which of them have come when it needs only some is left to chance.
    output = node.name if node.need is not None or node.rescues else answer(node.name, context)
    return Expected("completed", output, node.failures + 1, context)


def _kind(state: str) -> str:
    return {"completed": "ok", "failed": "bad"}.get(state, state)


def descendants(nodes: Iterable[Node], of: Iterable[str]) -> set[str]:
    """These, and all that waits for them in any way."""
    found = set(of)
    for node in nodes:
        if found & {*node.parents, *node.rescues}:
            found.add(node.name)
    return found
