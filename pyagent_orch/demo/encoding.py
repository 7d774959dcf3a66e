"""From a file's bytes to its text, and what is wrong with them.

Part of the demo, on the layer of the edges; pure.
"""

from __future__ import annotations

import codecs
import re

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_LINE_ENDS = re.compile(r"\r\n|\n|\r")
_LINE_END_NAMES = {"\r\n": "CRLF", "\n": "LF", "\r": "CR"}


def decode(data: bytes) -> tuple[str, str, list[str]]:
    """Decode a file as UTF-8, else by its byte order mark, else as Windows-1252.

    Returns:
        The text with its line ends as they are, the encoding's name, and what
        is wrong, in words.
    """
    troubles: list[str] = []
    encoding = "utf-8"
    for mark, name in _MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], name
            troubles.append("starts with a byte order mark")
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        troubles.append(f"line {line} is not {encoding.upper()}; read as Windows-1252")
        encoding = "windows-1252"
        text = data.decode(encoding, errors="replace")
    return text, encoding, troubles + _troubles_of(text)


def _troubles_of(text: str) -> list[str]:
    troubles: list[str] = []
    ends: dict[str, int] = {}
    for end in _LINE_ENDS.findall(text):
        ends[end] = ends.get(end, 0) + 1
    if len(ends) > 1:
        counts = ", ".join(f"{count} {_LINE_END_NAMES[end]}" for end, count in ends.items())
        troubles.append(f"mixed line ends: {counts}")
    for what, found in (
        ("control characters", _CONTROLS.search(text)),
        ("characters that an earlier decoding lost", re.search("\N{REPLACEMENT CHARACTER}", text)),
    ):
        if found:
            troubles.append(f"{what}, first on line {text.count(chr(10), 0, found.start()) + 1}")
    return troubles
