"""What a text is made of: headings, links and the plain words between them.

Part of the demo, on the layer of the edges; pure. Filled by `markdown.py` and
`restructured.py`, looked at by `prose.py` and `links.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pyagent_orch.demo.results import Heading

URL = re.compile(r"<?(https?://[^\s<>()\[\]\"'`]{1,300})>?")


@dataclass(frozen=True)
class Link:
    """A link or an image, as it is written."""

    target: str
    line: int


@dataclass
class Document:
    """A text, taken apart; filled by one parser, not shared between threads."""

    headings: list[Heading] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    paragraphs: list[str] = field(default_factory=list)
    """Plain text: paragraphs and list items, without markup and code blocks."""
    fragments: list[str] = field(default_factory=list)
    """Plain text that makes no sentences: rows of tables."""
    anchors: set[str] = field(default_factory=set)
    """Ids that the text sets itself, beside those of its headings."""
    open_boxes: int = 0
    """Check boxes of a list that are not ticked."""


def parse_plain(text: str) -> Document:
    """Take a text without markup apart."""
    document = Document(paragraphs=[part for part in re.split(r"\n\s*\n", text) if part.strip()])
    for found in URL.finditer(text):
        document.links.append(Link(found[1], text.count("\n", 0, found.start()) + 1))
    return document
