"""Takes a reStructuredText apart.

Part of the demo, on the layer of the edges; pure. Reads sections, paragraphs
and links as the docutils specification describes them, and skips directives
and literal blocks with what is indented below them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pyagent_orch.demo.document import Document, Link
from pyagent_orch.demo.results import Heading

_LINE = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_LINK = re.compile(r"`([^`<>]{0,300})<([^`<>]{1,300})>`__?")
_DIRECTIVE = re.compile(r"[ \t]*\.\. (?:image|figure|include|literalinclude)::[ \t]*(\S+)")
_TARGET = re.compile(r"\.\. _[^:\n]{1,200}:[ \t]+(\S+)")
_ROLE = re.compile(r":[a-zA-Z:+-]{1,40}:(?=`)")
_MARKS = re.compile(r"[`*|]{1,2}")


def parse_restructured(text: str) -> Document:
    """Take a reStructuredText apart."""
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        reader.read(number, line.rstrip())
    reader.close_paragraph()
    return reader.document


@dataclass
class _Reader:
    document: Document = field(default_factory=Document)
    styles: list[str] = field(default_factory=list)
    """How sections are underlined, outermost first: the text's own order decides."""
    paragraph: list[str] = field(default_factory=list)
    overline: str = ""
    skips_indented: bool = False

    def read(self, number: int, line: str) -> None:
        found = _DIRECTIVE.match(line) or _TARGET.match(line)
        if found:
            self.document.links.append(Link(found[1], number))
        if self.skips_indented and (not line or line[0] in " \t"):
            return
        self.skips_indented = line.startswith(".. ") or line.endswith("::")
        if _LINE.match(line):
            self._section(number, line)
        elif not line or line.startswith(".. "):
            self.close_paragraph()
        else:
            for link in _LINK.finditer(line):
                self.document.links.append(Link(link[2].strip(), number))
            self.paragraph.append(line.strip())

    def close_paragraph(self) -> None:
        if self.paragraph:
            plain = _ROLE.sub("", _LINK.sub(r"\1", " ".join(self.paragraph)))
            self.document.paragraphs.append(_MARKS.sub("", plain))
        self.paragraph, self.overline = [], ""

    def _section(self, number: int, line: str) -> None:
        if len(self.paragraph) != 1 or len(line) < len(self.paragraph[0]):
            self.close_paragraph()
            self.overline = line
            return
        style = line[0] + ("over" if self.overline[:1] == line[0] else "")
        if style not in self.styles:
            self.styles.append(style)
        level, title = self.styles.index(style) + 1, _MARKS.sub("", self.paragraph.pop())
        self.document.headings.append(Heading(level=level, title=title[:300], line=number - 1))
        self.overline = ""
