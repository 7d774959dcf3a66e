"""A graph as a Mermaid drawing, with a colour for each state.

Ground layer, pure. Names are users' text and end in web pages and Markdown
files: nothing in them may act as Mermaid or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pyagent_orch.graph.dag import Graph

_NOTHING: Mapping[str, str] = MappingProxyType({})

STATE_STYLES: Mapping[str, str] = MappingProxyType(
    {
        "pending": "fill:#f4f4f5,stroke:#71717a,color:#18181b",
        "running": "fill:#dbeafe,stroke:#2563eb,color:#172554,stroke-width:3px",
        "retrying": "fill:#fef3c7,stroke:#d97706,color:#451a03,stroke-width:3px",
        "completed": "fill:#dcfce7,stroke:#16a34a,color:#052e16",
        "failed": "fill:#fee2e2,stroke:#dc2626,color:#450a0a,stroke-width:3px",
        "cancelled": "fill:#e7e5e4,stroke:#57534e,color:#1c1917,stroke-dasharray:6 3",
        "skipped": "fill:#fafafa,stroke:#a1a1aa,color:#52525b,stroke-dasharray:3 3",
    }
)
"""Maps a state to how its tasks are drawn; line styles differ too, not colours alone."""

# All but this is written as an entity. `-` and `_` stay inside words only, where
# neither Markdown nor Mermaid's arrows see them; `1)` would start a list.
_UNSAFE = re.compile(
    r"(?<![^\W_])[_-]|[_-](?![^\W_])|(?<=\d)\)(?= |$)|[^\w ,/()?!:-]",
)


def to_mermaid(
    graph: Graph,
    states: Mapping[str, str] = _NOTHING,
    *,
    notes: Mapping[str, str] = _NOTHING,
    direction: Literal["TD", "LR"] = "TD",
) -> str:
    """Draw the graph as it is given; `graph.reduction()` draws fewer arrows.

    Node ids are `t0`, `t1` and so on in listed order, never the user's text.
    GitHub and Mermaid's defaults draw at most 500 arrows and 50,000 characters.

    Args:
        graph: the graph.
        states: maps ids to states; the class of a node. Unknown states are drawn
            plain, so a newer server does not break an older page.
        notes: maps ids to a second line for the node, such as times or tokens.
        direction: from the top down, or from left to right.

    Returns:
        The drawing, without a fence and without a final newline.
    """
    nodes = {task: f"t{index}" for index, task in enumerate(graph.ids)}
    lines = [f"flowchart {direction}"]
    for task, node in nodes.items():
        label = _escaped(graph.names[task])
        if notes.get(task):
            label += f"<br/>{_escaped(notes[task])}"
        lines.append(f'    {node}["{label}"]')
    lines += [
        f"    {nodes[parent]} --> {nodes[task]}"
        for task in graph.ids
        for parent in graph.parents[task]
    ]
    drawn: dict[str, list[str]] = {}
    for task, node in nodes.items():
        state = states.get(task, "")
        if state in STATE_STYLES:
            drawn.setdefault(str(state), []).append(node)
    for state, members in drawn.items():
        lines.append(f"    classDef {state} {STATE_STYLES[state]}")
        lines.append(f"    class {','.join(members)} {state}")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    shown = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return _UNSAFE.sub(lambda found: f"#{ord(found[0])};", shown) or "#8203;"
