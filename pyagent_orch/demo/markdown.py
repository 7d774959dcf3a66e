"""Takes a Markdown text apart.

Part of the demo, on the layer of the edges; pure. Reads the common part of
CommonMark 0.31 and GitHub's tables and check boxes, not all of it: enough to
outline a text, to follow its links and to count its words. Every repetition is
bounded, so that no text, however odd, takes much longer than its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pyagent_orch.demo.document import URL, Document, Link
from pyagent_orch.demo.results import Heading

_FENCE = re.compile(r"[ \t>]{0,40}(`{3,}|~{3,})")
_ATX_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+)$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r"[ \t]*([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_TABLE_RULE = re.compile(r"[ \t]*\|[ \t|:-]*$")
_DEFINITION = re.compile(r" {0,3}\[(?!\^)[^\[\]]{1,200}\]:[ \t]*<?([^\s<>]+)")
_ITEM = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+(\[[ xX]\][ \t])?")

_TARGET = r"\(\s{0,9}(<[^<>\n]{0,300}>|[^\s()]{0,300}(?:\([^\s()]{0,300}\)[^\s()]{0,300}){0,9})"
_IMAGE = re.compile(rf"!\[([^\[\]]{{0,300}})\]{_TARGET}[^()\n]{{0,300}}\)")
_LINK = re.compile(rf"\[((?:[^\[\]]|\[[^\[\]]{{0,300}}\]){{0,300}})\]{_TARGET}[^()\n]{{0,300}}\)")
_REFERENCE = re.compile(r"\[([^\[\]]{1,300})\]\[[^\[\]]{0,200}\]")
_HTML_LINK = re.compile(r"""<(?:a|img)\b([^<>]{0,300}?)\b(?:href|src)=["']([^"'<>\n]{1,300})["']""")
_HTML_ID = re.compile(r"""<[a-zA-Z][^<>]{0,300}?\b(?:id|name)=["']([^"'<>\n]{1,200})["']""")
_HTML = re.compile(r"<!--[^<>]{0,300}-->|</?[a-zA-Z][^<>]{0,300}>")
_CODE = re.compile(r"(?<!`)(`{1,3})(?!`)([^`]{1,300})\1(?!`)")
_EMPHASIS = re.compile(r"(?<!\w)[*_]{1,3}(?=\S)|(?<=\S)[*_]{1,3}(?!\w)")


def parse_markdown(text: str) -> Document:
    """Take a Markdown text apart."""
    reader = _Reader()
    lines = _without_comments(text).splitlines()
    for number, line in enumerate(_without_front_matter(lines), 1):
        reader.read(number, line)
    reader.close_block()
    return reader.document


def _without_comments(text: str) -> str:
    """Blank the HTML comments that begin a line; the line numbers stay."""
    kept, position, text = [], 0, "\n" + text
    while (start := text.find("\n<!--", position)) >= 0 and (end := text.find("-->", start)) >= 0:
        kept += [text[position:start], "\n" * text.count("\n", start, end)]
        position = end + 3
    return ("".join(kept) + text[position:])[1:]


def _without_front_matter(lines: list[str]) -> list[str]:
    """Blank the YAML that some tools put first; the line numbers stay."""
    if lines and lines[0].rstrip() == "---":
        for end, line in enumerate(lines[1:200], 1):
            if line.rstrip() in {"---", "..."}:
                return [""] * (end + 1) + lines[end + 1 :]
    return lines


@dataclass
class _Reader:
    """Reads line by line; `block` is the paragraph or list item that is still open."""

    document: Document = field(default_factory=Document)
    fence: str = ""
    block: list[str] = field(default_factory=list)
    block_start: int = 1
    block_is_item: bool = False

    def read(self, number: int, line: str) -> None:
        if not (self._code(line) or self._heading(number, line) or self._break(number, line)):
            self._text(number, line)

    def close_block(self) -> None:
        if self.block:
            plain = plain_text("\n".join(self.block), self.block_start, self.document)
            if plain.strip():
                self.document.paragraphs.append(plain)
        self.block = []

    def _open_block(self, number: int, line: str, *, is_item: bool) -> None:
        self.close_block()
        self.block, self.block_start, self.block_is_item = [line], number, is_item

    def _code(self, line: str) -> bool:
        mark = _FENCE.match(line)
        if self.fence:
            if mark and mark[1].startswith(self.fence) and not line.strip("`~> \t"):
                self.fence = ""
            return True
        # Three backquotes and text with a backquote after them are code within a line.
        if mark and "`" not in line[mark.end() :]:
            self.close_block()
            self.fence = mark[1]
            return True
        return False

    def _heading(self, number: int, line: str) -> bool:
        if found := _ATX_HEADING.match(line):
            self.close_block()
            self._add_heading(len(found[1]), found[2].rstrip().rstrip("#"), number)
            return True
        if (found := _UNDERLINE.match(line)) and self.block and not self.block_is_item:
            title, self.block = " ".join(part.strip() for part in self.block), []
            self._add_heading(1 if found[1].startswith("=") else 2, title, self.block_start)
            return True
        return False

    def _add_heading(self, level: int, title: str, line: int) -> None:
        if plain := plain_text(title, line, self.document).strip():
            self.document.headings.append(Heading(level=level, title=plain[:300], line=line))

    def _break(self, number: int, line: str) -> bool:
        """Handle what ends a paragraph and is none."""
        definition = _DEFINITION.match(line)
        is_row = line.lstrip().startswith("|")
        if line.strip() and not _RULE.match(line) and not definition and not is_row:
            return False
        self.close_block()
        if definition:
            self.document.links.append(Link(definition[1], number))
        elif is_row and not _TABLE_RULE.match(line):
            cells = re.sub(r"(?<!\\)\|", "  ", line)
            self.document.fragments.append(plain_text(cells, number, self.document))
        return True

    def _text(self, number: int, line: str) -> None:
        if item := _ITEM.match(line):
            self._open_block(number, line[item.end() :], is_item=True)
            self.document.open_boxes += (item[1] or "").startswith("[ ]")
        elif self.block:
            self.block.append(line)
        else:
            self._open_block(number, line.lstrip("> \t"), is_item=False)


def plain_text(raw: str, start: int, document: Document) -> str:
    """Take the markup out of a paragraph and note its links and ids.

    Args:
        raw: the paragraph; nothing in it crosses its ends.
        start: the number of its first line.
        document: where the links and ids are noted.
    """

    def note(pattern: re.Pattern[str], text: str, group: int, label: int) -> str:
        def replace(found: re.Match[str]) -> str:
            line = start + text.count("\n", 0, found.start())
            document.links.append(Link(found[group].strip("<>"), line))
            return _with_lines_of(found[0], found[label] if label else " ")

        return pattern.sub(replace, text)

    def hide(found: re.Match[str]) -> str:
        code.append(found[2])
        return _with_lines_of(found[0], "\0")

    # Code comes first: a link in it is none.
    code: list[str] = []
    text = _CODE.sub(hide, raw.replace("\0", " "))
    # An image may be the text of a link.
    text = note(_IMAGE, text, 2, 1)
    text = note(_LINK, text, 2, 1)
    document.anchors.update(_HTML_ID.findall(text))
    text = note(_HTML_LINK, text, 2, 1)
    text = note(URL, text, 1, 0)
    text = _EMPHASIS.sub("", _HTML.sub(" ", _REFERENCE.sub(r"\1", text)))
    pieces = iter(code)
    return re.sub("\0", lambda _: next(pieces).replace("\n", " "), text)


def _with_lines_of(original: str, replacement: str) -> str:
    """Keep the number of line ends, from which the later links' lines are counted."""
    return replacement + "\n" * (original.count("\n") - replacement.count("\n"))
