"""The graph room: validation, order, reduction, chains and chords, against brute force."""

from __future__ import annotations

import re
import time
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyagent_orch.exceptions import (
    CycleError,
    DuplicateTaskError,
    InvalidWorkflowError,
    UnknownDependencyError,
)
from pyagent_orch.graph import Chain, Chord, Graph, build_graph, explain, to_mermaid
from pyagent_orch.graph.mermaid import STATE_STYLES
from pyagent_orch.states import TaskStatus

DIAMOND = {"b": ["a"], "c": ["a"], "d": ["b", "c"]}
bounded = settings(max_examples=100, deadline=None)


def graph(dependencies, tasks="abcd", name="w1"):
    return build_graph(name, [(task, task) for task in tasks], dependencies)


def layers(count, width, fan_in=3):
    tasks = [(f"t{i}", f"T{i}") for i in range(count)]
    waits = {
        f"t{i}": [f"t{(i // width - 1) * width + (i * 7 + k) % width}" for k in range(fan_in)]
        for i in range(width, count)
    }
    return build_graph("layers", tasks, waits)


@st.composite
def edge_lists(draw, acyclic=True):
    size = draw(st.integers(1, 12))
    node = st.integers(0, size - 1)
    pairs = draw(st.lists(st.tuples(node, node), max_size=30))
    rank = draw(st.permutations(range(size))) if acyclic else None
    if rank is not None:
        pairs = [(a, b) if rank[a] < rank[b] else (b, a) for a, b in pairs if a != b]
    waits: dict[str, list[str]] = {}
    for a, b in pairs:
        waits.setdefault(f"t{b}", []).append(f"t{a}")
    return [(f"t{i}", f"T{i}") for i in range(size)], waits


def edges(g: Graph):
    return {(parent, task) for task in g.ids for parent in g.parents[task]}


def reachable(ids, pairs):
    """Warshall's closure: the plain way to say who comes before whom."""
    found = set(pairs)
    for middle in ids:
        before = {a for a, b in found if b == middle}
        after = {b for a, b in found if a == middle}
        found |= {(a, b) for a in before for b in after}
    return found


# --- properties ------------------------------------------------------------------


@bounded
@given(edge_lists(acyclic=False))
def test_a_cycle_is_found_if_and_only_if_there_is_one(drawn):
    tasks, waits = drawn
    pairs = {(a, b) for b, needed in waits.items() for a in needed}
    closure = reachable([task for task, _ in tasks], pairs)
    if any(a == b for a, b in closure):
        with pytest.raises(CycleError) as caught:
            build_graph("w", tasks, waits)
        ids = {name: task for task, name in tasks}
        path = [ids[name] for name in caught.value.path]
        assert path[0] == path[-1]
        assert len(set(path)) == len(path) - 1
        assert set(pairwise(path)) <= pairs
    else:
        assert len(build_graph("w", tasks, waits).order()) == len(tasks)


@bounded
@given(edge_lists())
def test_the_order_respects_the_dependencies_and_else_the_list(drawn):
    g = build_graph("w", *drawn)
    done: set[str] = set()
    for task in g.order():
        free = [t for t in g.ids if t not in done and done.issuperset(g.parents[t])]
        assert task == free[0]
        done.add(task)
    assert done == set(g.ids)


@bounded
@given(edge_lists())
def test_parents_children_levels_and_reach_agree_with_the_edges(drawn):
    tasks, waits = drawn
    g = build_graph("w", tasks, waits)
    pairs = {(a, b) for b, needed in waits.items() for a in needed}
    assert edges(g) == pairs
    assert {(a, b) for a in g.ids for b in g.children[a]} == pairs
    for some in [*g.parents.values(), *g.children.values(), g.roots, g.leaves]:
        assert list(some) == [task for task in g.ids if task in some]
    closure = reachable(g.ids, pairs)
    for task in g.ids:
        assert set(g.descendants(task)) == {b for a, b in closure if a == task}
        assert set(g.ancestors(task)) == {a for a, b in closure if b == task}
    level = {task: depth for depth, tasks in enumerate(g.levels()) for task in tasks}
    for task in g.ids:
        assert level[task] == max((level[p] + 1 for p in g.parents[task]), default=0)
    assert set(g.roots) == set(g.levels()[0])
    assert set(g.leaves) == {task for task in g.ids if not any(a == task for a, _ in pairs)}


@bounded
@given(edge_lists())
def test_the_reduction_keeps_who_reaches_whom_and_no_edge_can_go(drawn):
    g = build_graph("w", *drawn)
    kept = edges(g.reduction())
    whole = reachable(g.ids, edges(g))
    assert kept <= edges(g)
    assert reachable(g.ids, kept) == whole
    for edge in kept:
        assert reachable(g.ids, kept - {edge}) != whole


@bounded
@given(edge_lists())
def test_the_segments_cover_each_task_and_each_edge_of_the_reduction_once(drawn):
    g = build_graph("w", *drawn)
    said: list[tuple[str, str]] = []
    placed: list[str] = []
    for segment in g.segments():
        if isinstance(segment, Chord):
            assert len(segment.header) > 1
            said += [(task, segment.body) for task in segment.header]
            placed.append(segment.body)
        else:
            said += pairwise(segment.tasks)
            said += [(segment.after, segment.tasks[0])] if segment.after else []
            placed += segment.tasks
    assert sorted(said) == sorted(edges(g.reduction()))
    assert sorted(placed) == sorted(g.ids)


@bounded
@given(edge_lists())
def test_a_chain_is_as_long_as_it_can_be(drawn):
    g = build_graph("w", *drawn).reduction()
    chains = [segment for segment in g.segments() if isinstance(segment, Chain)]
    by_last = {chain.tasks[-1]: chain for chain in chains}
    for chain in chains:
        if chain.after in by_last:
            beside = [other for other in chains if other.after == chain.after]
            assert len(beside) > 1, "this chain and the one before it are one run"


@bounded
@given(edge_lists())
def test_sequential_runs_one_at_a_time_in_the_same_order(drawn):
    g = build_graph("w", *drawn)
    line = g.sequential()
    assert line.order() == g.order()
    assert edges(line) == edges(g) | set(pairwise(g.order()))
    assert edges(line.reduction()) == set(pairwise(g.order()))
    assert line.segments() == (Chain(g.order()),)


@bounded
@given(edge_lists())
def test_explain_and_mermaid_name_every_task_of_a_small_graph(drawn):
    g = build_graph("w", *drawn)
    said = explain(g)
    if "more" not in said:
        assert set(re.findall(r"T\d+", said)) == set(g.names.values())
    drawing = to_mermaid(g)
    assert drawing.count("-->") == len(edges(g))
    assert re.findall(r'\["(.*)"\]', drawing) == list(g.names.values())


# --- how names are resolved ----------------------------------------------------------


def test_dependencies_may_use_ids_and_names_and_repeat():
    g = build_graph(
        "w",
        [("1", "Gather"), ("2", "Analyse"), ("3", "Write")],
        {"Analyse": ["Gather", "1"], "2": ["1"], "Write": ["2", "Gather"]},
    )
    assert g.parents == {"1": (), "2": ("1",), "3": ("1", "2")}


def test_an_id_wins_over_a_name():
    g = build_graph("w", [("a", "b"), ("b", "x"), ("c", "y")], {"c": ["b"]})
    assert g.parents["c"] == ("b",)


def test_a_lone_string_is_one_dependency_and_not_its_letters():
    g = build_graph("w", [("ab", "ab"), ("c", "c")], {"c": "ab"})
    assert g.parents["c"] == ("ab",)


def test_traced_dependencies_are_added_by_id():
    g = build_graph(
        "w", [("1", "a"), ("2", "b"), ("3", "c")], {"b": ["a"]}, {"3": ["1", "2"], "2": ["1"]}
    )
    assert g.parents == {"1": (), "2": ("1",), "3": ("1", "2")}


# --- what is refused -----------------------------------------------------------------


def test_an_empty_workflow_is_refused():
    with pytest.raises(InvalidWorkflowError, match="'w1': it has no tasks"):
        build_graph("w1", [], {})


def test_an_unknown_dependency_is_refused_with_the_known_names():
    with pytest.raises(UnknownDependencyError) as caught:
        graph({"b": ["x"]}, "ab")
    assert str(caught.value) == "Workflow 'w1': task 'b' waits for unknown 'x'; known: 'a', 'b'"


def test_an_unknown_key_is_refused_with_the_nearest_name():
    tasks = [("1", "Gather Sources"), ("2", "Write Report")]
    with pytest.raises(UnknownDependencyError, match=r"did you mean 'Write Report'\?"):
        build_graph("w1", tasks, {"Write Repotr": ["1"]})


def test_a_dependency_that_is_no_string_is_unknown():
    with pytest.raises(UnknownDependencyError, match=r"unknown \['a'\]"):
        graph({"b": [["a"]]})


def test_an_unknown_task_of_a_traced_input_is_refused():
    with pytest.raises(UnknownDependencyError, match="the input of task 'a' uses the output of"):
        build_graph("w", [("1", "a")], {}, {"1": ["elsewhere"]})
    with pytest.raises(UnknownDependencyError, match="unknown 'elsewhere'"):
        build_graph("w", [("1", "a")], {}, {"elsewhere": ["1"]})


def test_of_many_known_names_only_some_are_listed():
    tasks = [(str(i), f"task {i}") for i in range(1000)]
    with pytest.raises(UnknownDependencyError, match="and 988 more") as caught:
        build_graph("w1", tasks, {"0": ["nowhere to be found"]})
    assert len(str(caught.value)) < 400


def test_two_tasks_with_one_id_are_always_refused():
    with pytest.raises(DuplicateTaskError, match="2 of its tasks have the id 'a'"):
        build_graph("w1", [("a", "x"), ("b", "y"), ("a", "z")], {})


def test_two_tasks_with_one_name_are_refused_only_where_a_dependency_uses_it():
    tasks = [("1", "same"), ("2", "same"), ("3", "c")]
    assert build_graph("w1", tasks, {"c": ["1", "2"]}).parents["3"] == ("1", "2")
    with pytest.raises(DuplicateTaskError, match=r"name of 2 tasks \('1', '2'\); use an id"):
        build_graph("w1", tasks, {"c": ["same"]})


def test_a_cycle_is_refused_with_its_path():
    tasks = [("1", "a"), ("2", "b"), ("3", "c"), ("4", "after")]
    with pytest.raises(CycleError) as caught:
        build_graph("w1", tasks, {"a": ["c"], "b": ["a"], "c": ["b"], "after": ["c"]})
    assert caught.value.path == ["a", "b", "c", "a"]
    assert str(caught.value).endswith("circle: a -> b -> c -> a")


def test_a_task_that_waits_for_itself_is_refused():
    with pytest.raises(CycleError, match="circle: a -> a"):
        graph({"a": ["a"]})
    with pytest.raises(CycleError, match="circle: a -> a"):
        build_graph("w", [("1", "a")], {}, {"1": ["1"]})


def test_a_cycle_of_tasks_with_one_name_is_told_with_ids():
    with pytest.raises(CycleError, match=r"circle: x \(1\) -> x \(2\) -> x \(1\)"):
        build_graph("w", [("1", "x"), ("2", "x")], {"1": ["2"], "2": ["1"]})


def test_an_unknown_id_asked_of_a_graph_is_a_key_error():
    with pytest.raises(KeyError):
        graph(DIAMOND).descendants("x")


# --- how it reads --------------------------------------------------------------------


def test_the_diamond_is_a_chain_and_a_chord():
    diamond = graph(DIAMOND, name="diamond")
    assert diamond.segments() == (
        Chain(("a",)),
        Chain(("b",), after="a"),
        Chain(("c",), after="a"),
        Chord(("b", "c"), "d"),
    )
    assert explain(diamond) == "diamond: chain(a) ; chord([b, c], d)\n  a -> group(b, c)"


@pytest.mark.parametrize(
    ("tasks", "dependencies", "said"),
    [
        ("abc", {"b": "a", "c": "b"}, "w1: chain(a, b, c)"),
        ("abc", {}, "w1: group(a, b, c)"),
        ("abc", {"c": ["a", "b"]}, "w1: chord([a, b], c)"),
        ("abc", {"b": "a", "c": ["a", "b"]}, "w1: chain(a, b, c)"),
        ("abc", {"b": "a", "c": "a"}, "w1: chain(a) ; group(b, c)\n  a -> group(b, c)"),
        (
            "abcde",
            {"b": "a", "c": "b", "d": "a", "e": ["c", "d"]},
            "w1: chain(a) ; chord([chain(b, c), d], e)\n  a -> group(b, d)",
        ),
        (
            "abcdef",
            {"c": ["a", "b"], "d": ["a", "b"], "e": "c", "f": "e"},
            "w1: group(a, b) ; chord([a, b], c) ; chord([a, b], d) ; chain(e, f)\n  c -> e",
        ),
    ],
)
def test_explain_says_the_canvas(tasks, dependencies, said):
    assert explain(graph(dependencies, tasks)) == said


def test_explain_of_a_thousand_tasks_stays_readable():
    fan = build_graph(
        "fan",
        [(f"t{i}", f"T{i}") for i in range(1002)],
        {f"t{i}": ["t0"] for i in range(1, 1001)} | {"t1001": [f"t{i}" for i in range(1, 1001)]},
    )
    assert explain(fan) == (
        "fan: chain(T0) ; chord([T1, T2, T3, ... 996 more ..., T1000], T1001)\n"
        "  T0 -> group(T1, T2, T3, ... 996 more ..., T1000)"
    )
    lines = explain(layers(990, 33)).splitlines()
    assert lines[0] == "layers: 990 tasks in 30 levels, as 33 chains and 957 chords"
    assert lines[-1] == "  ... and 918 more"
    assert len(lines) == 42
    assert max(map(len, lines)) <= 120


def test_explain_tells_tasks_of_one_name_apart_and_shows_no_control_characters():
    g = build_graph("w\n\x1b[31m", [("1", "same\n name"), ("2", "same\n name")], {"2": ["1"]})
    assert explain(g) == "w ?[31m: chain(same name (1), same name (2))"


def test_mermaid_draws_states_and_notes():
    drawing = to_mermaid(
        graph(DIAMOND),
        {"a": TaskStatus.COMPLETED, "b": "running", "c": "running", "d": "from the future"},
        notes={"a": "1.5 s"},
    )
    assert drawing.splitlines() == [
        "flowchart TD",
        '    t0["a<br/>1#46;5 s"]',
        '    t1["b"]',
        '    t2["c"]',
        '    t3["d"]',
        "    t0 --> t1",
        "    t0 --> t2",
        "    t1 --> t3",
        "    t2 --> t3",
        f"    classDef completed {STATE_STYLES['completed']}",
        "    class t0 completed",
        f"    classDef running {STATE_STYLES['running']}",
        "    class t1,t2 running",
    ]


def test_every_state_of_a_task_has_a_style():
    assert set(STATE_STYLES) == {status.value for status in TaskStatus}


@bounded
@given(st.text() | st.text("<>\"'`%{}[]()#;&|-_=*. \n1a"))
@example("1) first -- __bold__ `code` <b onclick='x'> %%{init: {}}%%")
def test_a_name_cannot_act_as_mermaid_html_or_markdown(name):
    drawing = to_mermaid(build_graph("w", [("1", name)], {}))
    assert len(drawing.splitlines()) == 2
    label = re.fullmatch(r'    t0\["(.+)"\]', drawing.splitlines()[1])[1]
    plain = re.sub(r"#\d+;", "¤", label)
    assert not set(plain) & set("<>\"'`%{}[]#;&|=*.+~^\\$\n")
    assert not re.search(r"--|__|^[-_\s]|\d\)( |$)", plain)
    seen = re.sub(r"#(\d+);", lambda found: chr(int(found[1])), label)
    assert seen == (
        "".join(c if c.isprintable() else "?" for c in " ".join(name.split())) or "\u200b"
    )


# --- size --------------------------------------------------------------------------------


def test_a_chain_of_a_hundred_thousand_needs_no_recursion():
    count = 100_000
    tasks = [(str(i), str(i)) for i in range(count)]
    chain = build_graph("long", tasks, {str(i): [str(i - 1)] for i in range(1, count)})
    assert chain.reduction() is chain
    assert chain.segments() == (Chain(chain.ids),)
    assert len(chain.descendants("0")) == len(chain.ancestors(str(count - 1))) == count - 1
    circle = {str(i): [str((i - 1) % count)] for i in range(count)}
    with pytest.raises(CycleError) as caught:
        build_graph("long", tasks, circle)
    assert len(caught.value.path) == count + 1


def test_ten_thousand_tasks_with_fan_in_three_are_reduced_in_two_seconds():
    begun = time.process_time()
    g = layers(10_000, 100)
    assert len(edges(g.reduction())) == 9_900 * 3
    assert sum(isinstance(segment, Chord) for segment in g.segments()) == 9_900
    assert time.process_time() - begun < 2


def test_a_graph_with_every_possible_edge_is_reduced_to_a_chain():
    count = 300
    tasks = [(str(i), str(i)) for i in range(count)]
    g = build_graph("full", tasks, {str(i): [str(j) for j in range(i)] for i in range(count)})
    assert g.segments() == (Chain(g.ids),)


def peak_of_reducing(g):
    g.order()
    tracemalloc.start()
    try:
        g.reduction()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_reducing_keeps_only_the_front_of_the_sweep_in_memory():
    # 10,000 sets of up to 10,000 bits would be more than 6 MB.
    assert peak_of_reducing(layers(10_000, 100)) < 4_000_000


@pytest.mark.parametrize("turned", [False, True])
def test_a_long_chain_that_one_task_joins_or_starts_is_reduced_in_little_memory(turned):
    # The sets of the wrong side would be 10,000 of up to 10,000 bits.
    count = 10_000
    tasks = [(str(i), str(i)) for i in range(count)]
    waits = {str(i): [str(i - 1)] for i in range(1, count)}
    if turned:
        waits |= {str(i): [str(i - 1), "0"] for i in range(2, count)}
    else:
        waits[str(count - 1)] = [str(i) for i in range(count - 1)]
    g = build_graph("w", tasks, waits)
    assert peak_of_reducing(g) < 6_000_000
    assert g.segments() == (Chain(g.ids),)
