"""Templates: `{Name.output}` and `{Name.output[key]}` in a plain text.

Pure. Only braces that name a task of the workflow mean anything; all others,
such as JSON or another template language, are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyagent_orch.models.references import Reference

# Bounded, since every dot between the braces may end a name.
_BRACES = re.compile(r"\{\{([^{}]{1,1000})\}\}|\{([^{}]{1,1000})\}")
_OUTPUT = re.compile(r"output((?:\[[^\[\]]+\])*)")
_KEY = re.compile(r"\[([^\[\]]+)\]")
_INDEX = re.compile(r"-?[0-9]{1,18}")
_ATTRIBUTE = re.compile(r"\w+(?:\.\w+|\[[^\[\]]*\])*")
"""What looks like an attribute, so that `{e.g. this}` is text also where a task is named `e`."""


def parse_template(text: str, names: Mapping[str, str]) -> list[str | Reference]:
    """Take a template apart.

    A name may hold spaces and dots; the longest one that fits is meant. A key of
    digits is an index; in quotes it is text. As in Python, `{{Name.output}}` is
    the text `{Name.output}`. Braces around more than 1,000 characters are text.

    Args:
        text: what the user wrote.
        names: maps the names and ids of the workflow's tasks to ids.

    Returns:
        Text and references in turn; no text is empty, no two stand side by side.

    Raises:
        ValueError: braces name a task and something else than its output.
    """
    parts: list[str | Reference] = []
    literal, end = "", 0
    for found in _BRACES.finditer(text):
        doubled, single = found.groups()
        reference = _escaped(doubled, names) if doubled else _reference(single, names)
        if reference is None:
            continue
        literal += text[end : found.start()]
        end = found.end()
        if doubled:
            literal += f"{{{doubled}}}"
        else:
            parts += [literal, reference] if literal else [reference]
            literal = ""
    literal += text[end:]
    return [*parts, literal] if literal else parts


def _escaped(inner: str, names: Mapping[str, str]) -> Reference | None:
    try:
        return _reference(inner, names)
    except ValueError:
        return None


def _reference(inner: str, names: Mapping[str, str]) -> Reference | None:
    """Read what stands between braces; None if it names no task."""
    wrong: tuple[str, str] | None = None
    dot = inner.rfind(".")
    while dot > 0:
        name, attribute = inner[:dot], inner[dot + 1 :]
        if name in names:
            found = _OUTPUT.fullmatch(attribute)
            if found:
                return Reference(names[name], name, tuple(map(_key, _KEY.findall(found[1]))))
            if _ATTRIBUTE.fullmatch(attribute):
                wrong = (name, attribute)
        dot = inner.rfind(".", 0, dot)
    if wrong:
        name, attribute = wrong
        raise ValueError(
            f"names {attribute!r} of task {name!r}; only the output of a task can be used: "
            f"{{{name}.output}}, or {{{name}.output[key]}} for a part of it"
        )
    return None


def _key(text: str) -> str | int:
    if _INDEX.fullmatch(text):
        return int(text)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text
