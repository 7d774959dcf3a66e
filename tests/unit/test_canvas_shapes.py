"""Taking a graph apart into chains and groups: exactly, or not at all."""

from __future__ import annotations

from itertools import combinations, permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch import InvalidWorkflowError, Task, Workflow
from pyagent_orch.engine.canvas import decompose
from pyagent_orch.workflows import Plan, plan_workflow

Order = frozenset[tuple[str, str]]
"""Pairs of names: the first is done before the second starts."""


def plan(names: list[str], edges: Order) -> Plan:
    waits = {name: [a for a, b in edges if b == name] for name in names}
    tasks = [Task(len, "x", id=name, name=name) for name in names]
    return plan_workflow(Workflow("shape", tasks, {n: on for n, on in waits.items() if on}))


def closure(edges: Order) -> Order:
    """All pairs that follow from these."""
    found = set(edges)
    while True:
        more = {(a, d) for a, b in found for c, d in found if b == c} - found
        if not more:
            return frozenset(found)
        found |= more


def members(shape: Any) -> list[str]:
    return [shape] if isinstance(shape, str) else [m for part in shape[1] for m in members(part)]


def said(shape: Any) -> Order:
    """What a shape says, read as Celery does: a link of a chain waits for all of those before."""
    if isinstance(shape, str):
        return frozenset()
    kind, parts = shape
    found: set[tuple[str, str]] = set()
    for part in parts:
        found |= said(part)
    if kind == "chain":
        for before, after in combinations(parts, 2):
            found |= set(product(members(before), members(after)))
    return frozenset(found)


@st.composite
def series_parallel(draw: st.DrawFn) -> tuple[list[str], Order]:
    """A graph made by putting parts one after the other, or beside each other."""

    def build(names: list[str]) -> set[tuple[str, str]]:
        if len(names) == 1:
            return set()
        cut = draw(st.integers(1, len(names) - 1))
        first, second = names[:cut], names[cut:]
        edges = build(first) | build(second)
        if draw(st.booleans()):
            edges |= set(product(first, second))
        return edges

    names = [f"t{i}" for i in range(draw(st.integers(1, 14)))]
    edges = build(names)
    return draw(st.permutations(names)), frozenset(edges)


@st.composite
def any_graph(draw: st.DrawFn) -> tuple[list[str], Order]:
    names = [f"t{i}" for i in range(draw(st.integers(1, 7)))]
    pairs = list(combinations(names, 2))
    edges = draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    return draw(st.permutations(names)), frozenset(edges)


@given(series_parallel())
def test_what_a_canvas_can_say_is_said_exactly(graph: tuple[list[str], Order]) -> None:
    names, edges = graph
    shape = decompose(plan(names, edges))
    assert sorted(members(shape)) == sorted(names)
    assert said(shape) == closure(edges)


@given(any_graph())
def test_a_graph_is_refused_only_if_it_holds_the_n_shape(graph: tuple[list[str], Order]) -> None:
    names, edges = graph
    order = closure(edges)

    def unordered(a: str, b: str) -> bool:
        return (a, b) not in order and (b, a) not in order

    # a before c, b before c and d, and nothing else among the four.
    holds_n = any(
        {(a, c), (b, c), (b, d)} <= order
        and unordered(a, b) and unordered(c, d) and unordered(a, d)
        for a, b, c, d in permutations(names, 4)
    )  # fmt: skip
    try:
        shape = decompose(plan(names, edges))
    except InvalidWorkflowError:
        assert holds_n
    else:
        assert not holds_n
        assert said(shape) == order


def test_shapes_are_flat_and_chains_are_in_order() -> None:
    diamond = plan(list("abcd"), frozenset({("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")}))
    assert decompose(diamond) == ("chain", ["a", ("group", ["b", "c"]), "d"])
    assert decompose(plan(["x", "y"], frozenset())) == ("group", ["x", "y"])
    assert decompose(plan(["only"], frozenset())) == "only"


def test_what_cannot_be_said_is_named_and_no_more_than_that() -> None:
    edges = {("s", n) for n in "abcd"} | {("a", "c"), ("b", "c"), ("b", "d")}
    edges |= {(n, "e") for n in "abcd"}
    with pytest.raises(InvalidWorkflowError) as raised:
        decompose(plan(list("sabcde"), frozenset(edges)))
    assert "wait for each other: 'a', 'b', 'c', 'd'; submit_workflow()" in str(raised.value)
