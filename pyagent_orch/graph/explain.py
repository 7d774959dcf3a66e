"""A graph in words: the chains and chords it is run as.

Ground layer, pure. Meant for people and terminals, never parsed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pyagent_orch.graph.dag import Graph
from pyagent_orch.graph.segments import Chain, Chord

_WIDTH = 100
_SHOWN = 6
"""Longer lists are shortened to their ends and a count."""
_NAME = 40

_Item = TypeVar("_Item")


def explain(graph: Graph, *, max_lines: int = 40) -> str:
    """Say which chains and chords the workflow is.

    The first line reads `diamond: chain(a) ; chord([b, c], d)`. A chain that only
    leads into one chord stands inside its header; several tasks or chains that
    may start together are a `group`. Lines such as `a -> group(b, c)` follow:
    what starts when a task is done.

    Args:
        graph: any graph; it is reduced first.
        max_lines: how many lines of segments, and how many of followers, are
            shown at most, >= 1; the rest is counted.
    """
    return _Writer(graph).text(max_lines)


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph.reduction()
        self.repeated = {name for name, n in Counter(graph.names.values()).items() if n > 1}
        segments = graph.segments()
        self.chains = [segment for segment in segments if isinstance(segment, Chain)]
        self.chords = len(segments) - len(self.chains)
        self.inside = {chain.tasks[-1]: chain for chain in self.chains if self._is_inside(chain)}

    def text(self, max_lines: int) -> str:
        title = self._clean(self.graph.workflow)
        forms = self._forms()
        lines = _at_most(max_lines, forms, self._form)
        headline = f"{title}: {' ; '.join(lines)}"
        if len(forms) <= max_lines and len(headline) <= _WIDTH:
            lines = [headline]
        else:
            sizes = (
                f"{_count(len(self.graph.ids), 'task')} in "
                f"{_count(len(self.graph.levels()), 'level')}, as "
                f"{_count(len(self.chains), 'chain')} and {_count(self.chords, 'chord')}"
            )
            lines = [f"{title}: {sizes}", *lines]
        followers: dict[str, list[str]] = {}
        for chain in self.chains:
            if chain.after is not None:
                followers.setdefault(chain.after, []).append(chain.tasks[0])
        lines += _at_most(max_lines, list(followers.items()), lambda pair: self._follow(*pair))
        return "\n  ".join(lines)

    def _forms(self) -> list[Chord | list[Chain]]:
        """The chords, and the chains outside of them, those that start together together."""
        forms: list[Chord | list[Chain]] = []
        together: dict[str | None, list[Chain]] = {}
        for segment in self.graph.segments():
            if isinstance(segment, Chord):
                forms.append(segment)
            elif segment.tasks[-1] not in self.inside:
                if segment.after not in together:
                    together[segment.after] = []
                    forms.append(together[segment.after])
                together[segment.after].append(segment)
        return forms

    def _is_inside(self, chain: Chain) -> bool:
        # Only what nothing else waits for can be said inside a header. The one
        # child of the last task is a join, or the chain would have gone on.
        return all(len(self.graph.children[task]) == 1 for task in chain.tasks)

    def _form(self, form: Chord | list[Chain]) -> str:
        if isinstance(form, Chord):
            return f"chord([{_listed(form.header, self._part)}], {self._name(form.body)})"
        if len(form) == 1:
            return f"chain({_listed(form[0].tasks, self._name)})"
        return f"group({_listed(form, self._link)})"

    def _part(self, task: str) -> str:
        return self._link(self.inside[task]) if task in self.inside else self._name(task)

    def _link(self, chain: Chain) -> str:
        names = _listed(chain.tasks, self._name)
        return f"chain({names})" if len(chain.tasks) > 1 else names

    def _follow(self, task: str, heads: Sequence[str]) -> str:
        names = _listed(heads, self._name)
        return f"{self._name(task)} -> " + (f"group({names})" if len(heads) > 1 else names)

    def _name(self, task: str) -> str:
        name = self.graph.names[task]
        return self._clean(f"{name} ({task})" if name in self.repeated else name)

    @staticmethod
    def _clean(name: str) -> str:
        # A name is the user's text: no line breaks and no terminal escapes.
        shown = "".join(c if c.isprintable() else "?" for c in " ".join(name.split()))
        return shown if len(shown) <= _NAME else f"{shown[: _NAME - 3]}..."


def _listed(items: Sequence[_Item], write: Callable[[_Item], str]) -> str:
    if len(items) <= _SHOWN:
        return ", ".join(map(write, items))
    ends: Iterable[str] = map(write, [*items[: _SHOWN // 2], items[-1]])
    *first, last = ends
    return ", ".join([*first, f"... {len(items) - len(first) - 1:,} more ...", last])


def _at_most(limit: int, items: Sequence[_Item], write: Callable[[_Item], str]) -> list[str]:
    lines = [write(item) for item in items[:limit]]
    rest = len(items) - limit
    return [*lines, f"... and {rest:,} more"] if rest > 0 else lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
