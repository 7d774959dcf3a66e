"""Making text of strangers harmless for a terminal: escaping, widths, cutting.

Ground layer, pure, standard library only. Names, outputs and errors come from
models and from whoever may submit; an escape sequence in one of them could
rewrite what is on the screen or answer in the user's name.
"""

from __future__ import annotations

import unicodedata

_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, invisible formats (text direction among them),
surrogates and line ends."""
_JOINERS = frozenset("\u200c\u200d")
"""Formats that many scripts and most emoji are written with; they join, and do nothing else."""


def escape(text: str, *, lines: bool = False) -> str:
    r"""Write every character that a terminal might obey as `\x1b` or `\u202e`.

    Printable text comes back as it is, backslashes too, so this is for people to
    read and not to be read back.

    Args:
        text: anything, from anywhere.
        lines: keep line ends and tabs; otherwise they are escaped, so that the text
            stays on its line.
    """
    if text.isascii() and text.isprintable():
        return text
    if lines:
        text = text.replace("\r\n", "\n")
    return "".join(_escaped(char, lines=lines) for char in text)


def _escaped(char: str, *, lines: bool) -> str:
    if unicodedata.category(char) not in _HARMFUL or char in _JOINERS or (lines and char in "\n\t"):
        return char
    return char.encode("unicode_escape").decode("ascii")


def one_line(text: str) -> str:
    """A text on one line: white space of any kind becomes one space, the rest is escaped."""
    return escape(" ".join(text.split()))


def width(text: str) -> int:
    """How many columns a terminal gives an escaped text."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if char in _JOINERS or unicodedata.category(char) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1


def cut(text: str, columns: int) -> str:
    """The beginning of an escaped text that fits; an ellipsis shows that there is more.

    Args:
        text: one line.
        columns: its width at the most, >= 1.
    """
    if width(text) <= columns:
        return text
    kept, used = [], 1
    for char in text:
        used += _columns(char)
        if used > columns:
            break
        kept.append(char)
    return "".join(kept) + "…"
