"""Answers of agents as text and JSON: found, cleaned, cut.

Ground of the patterns' room, pure. What agents answer comes from strangers: it may
be huge, broken, or written to steer a terminal or a count.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from pyagent_orch.models.values import JSONValue, to_json

KEPT = 50_000
"""How many characters of an answer a pattern keeps and quotes; the turn's record has it all."""
READ = 100_000
"""A longer text is not looked at for a vote or a plan: nobody answers a question so."""
_MOST_OBJECTS = 20
_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*$", re.MULTILINE)
_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")
"""They turn the direction of text around, or end a line, where nobody sees it."""


class TwiceError(ValueError):
    """A key stands twice in one JSON object, so the object says two things."""


def text_of(answer: JSONValue) -> str:
    """An answer as text that is safe to keep, to quote and to print."""
    return clean(answer if isinstance(answer, str) else to_json(answer))


def clean(text: str, limit: int = KEPT) -> str:
    r"""Cut a text in its middle, and write what a terminal would obey as `\x1b`.

    Args:
        text: anything, from anywhere.
        limit: characters that are kept, >= 2.
    """
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(_harmless(char) for char in text.replace("\r\n", "\n"))


def quoted(text: str) -> str:
    """A text as a quotation, a `>` before each line: nothing in it looks like somebody else's."""
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _harmless(char: str) -> str:
    if char in "\n\t":
        return char
    if char in _OVERRIDES or unicodedata.category(char) in {"Cc", "Cs"}:
        return char.encode("unicode_escape", "surrogatepass").decode("ascii")
    return char


def json_objects(
    text: str, shown: Callable[[Mapping[str, Any]], str] = lambda _: ""
) -> tuple[list[Mapping[str, Any]], str]:
    """The JSON objects in a text, and what stands around them.

    Args:
        text: what was answered.
        shown: what an object is replaced by in what stands around it.

    Raises:
        TwiceError: one of them has a key twice.
    """
    found: list[Mapping[str, Any]] = []
    rest: list[str] = []
    decoder = json.JSONDecoder(object_pairs_hook=_once)
    at = 0
    for _ in range(_MOST_OBJECTS):
        start = text.find("{", at)
        if start < 0:
            break
        rest.append(text[at:start])
        try:
            value, at = decoder.raw_decode(text, start)
        except TwiceError:
            raise
        except (ValueError, RecursionError):
            rest.append("{")
            at = start + 1
            continue
        found.append(value)
        rest.append(shown(value))
    rest.append(text[at:])
    return found, _FENCE.sub("", "".join(rest))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise TwiceError
    return made


def unwrapped(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object out of the lone field that holds it, such as `{"result": {...}}`."""
    for _ in range(3):
        inner = next(iter(value.values())) if len(value) == 1 else None
        if not isinstance(inner, dict):
            break
        value = inner
    return value


def number_in(value: object, low: float, high: float) -> float | None:
    """A number within bounds; None for anything else, True and False too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if low <= value <= high else None
