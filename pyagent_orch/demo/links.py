"""Which relative links of a text lead nowhere.

Part of the demo, on the layer of the edges. Looks at the files beside the
text; never at the network, so links to the web are not judged.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyagent_orch.demo.document import Document
from pyagent_orch.demo.encoding import decode
from pyagent_orch.demo.files import MAX_FILE_BYTES
from pyagent_orch.demo.markdown import parse_markdown
from pyagent_orch.demo.results import BrokenLink

MARKDOWN_SUFFIXES = frozenset({".md", ".markdown"})

_NOT_IN_SLUG = re.compile(r"[^\w\- ]")
# What a template fills in later cannot be judged now.
_TEMPLATE = re.compile(r"[{}<>$*|]")


def broken_links(document: Document, path: Path, folder: Path) -> list[BrokenLink]:
    """Find the relative links whose file, or whose heading in a Markdown file, is missing.

    Args:
        document: the text, taken apart.
        path: its file.
        folder: what a link that starts with a slash is relative to.
    """
    anchors: dict[Path, set[str]] = {}
    if path.suffix.lower() in MARKDOWN_SUFFIXES:
        anchors[path] = anchors_of(document)
    broken = []
    for link in document.links:
        problem = _problem(link.target, path, folder, anchors)
        if problem:
            broken.append(BrokenLink(target=link.target, line=link.line, problem=problem))
    return broken


def anchors_of(document: Document) -> set[str]:
    """The ids that a link may name after `#`: GitHub's of the headings, and the text's own."""
    anchors = {anchor.lower() for anchor in document.anchors}
    seen: dict[str, int] = {}
    for heading in document.headings:
        slug = _NOT_IN_SLUG.sub("", heading.title.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        anchors.add(f"{slug}-{count}" if count else slug)
    return anchors


def _problem(target: str, path: Path, folder: Path, anchors: dict[Path, set[str]]) -> str | None:
    try:
        parts = urlsplit(target)
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not target or _TEMPLATE.search(target):
        return None
    name, anchor = unquote(parts.path), unquote(parts.fragment).lower()
    try:
        if not name:
            wanted = path
        else:
            base = folder if name.startswith("/") else path.parent
            wanted = (base / name.lstrip("/")).resolve()
            if not wanted.exists():
                return "no such file"
        if not anchor or anchor == "top" or wanted.suffix.lower() not in MARKDOWN_SUFFIXES:
            return None
        if wanted not in anchors:
            anchors[wanted] = _read_anchors(wanted)
    except (OSError, ValueError):
        # A name too long or with a zero byte is no file; one out of reach is not ours to judge.
        return "no such file"
    return None if anchor in anchors[wanted] else "no such heading"


def _read_anchors(path: Path) -> set[str]:
    with path.open("rb") as file:
        return anchors_of(parse_markdown(decode(file.read(MAX_FILE_BYTES))[0]))
