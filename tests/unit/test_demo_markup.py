"""How the demo takes Markdown and reStructuredText apart."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyagent_orch.demo.document import Document, parse_plain
from pyagent_orch.demo.markdown import parse_markdown
from pyagent_orch.demo.restructured import parse_restructured


def outline(document: Document) -> list[tuple[int, str, int]]:
    return [(heading.level, heading.title, heading.line) for heading in document.headings]


def links(document: Document) -> list[tuple[str, int]]:
    return [(link.target, link.line) for link in document.links]


MARKDOWN = """\
---
title: not a heading
---
The title
=========

A paragraph with a [link
over two lines](docs/a.md#part) and `code [no](link.md)`.

## Second *level* `code` ##

```python
# no heading
[no](link.md)
```

- [ ] open, with ![an image](img/a.png)
- [x] done
  that goes on

| cell | [in a table](b.md "title") |
| --- | --- |

<!-- a comment
# no heading, [no](link.md)

-->
[ref]: ../c.md
See [the text][ref], <https://example.org/x>, and <a id="anchor" href="d.html">this</a>.
[![badge](badge.svg)](e.md)
"""


def test_headings_are_found_with_level_and_line() -> None:
    assert outline(parse_markdown(MARKDOWN)) == [(1, "The title", 4), (2, "Second level code", 10)]


def test_links_are_found_with_their_lines_and_those_in_code_and_comments_are_not() -> None:
    assert sorted(links(parse_markdown(MARKDOWN)), key=lambda link: link[1]) == [
        ("docs/a.md#part", 7),
        ("img/a.png", 17),
        ("b.md", 21),
        ("../c.md", 28),
        ("d.html", 29),
        ("https://example.org/x", 29),
        ("badge.svg", 30),
        ("e.md", 30),
    ]


def test_what_people_read_is_left_without_its_markup() -> None:
    document = parse_markdown(MARKDOWN)
    first = document.paragraphs[0].replace("\n", " ")
    assert first == "A paragraph with a link over two lines and code [no](link.md)."
    assert any("that goes on" in paragraph for paragraph in document.paragraphs)
    assert "in a table" in document.fragments[0]
    text = " ".join(document.paragraphs)
    assert "the text" in text
    assert not [part for part in ("title:", "comment", "python", "href", "](d") if part in text]


def test_open_boxes_and_ids_are_noted() -> None:
    document = parse_markdown(MARKDOWN)
    assert document.open_boxes == 1
    assert document.anchors == {"anchor"}


@pytest.mark.parametrize(
    "text",
    [
        "a\n---\n",  # a heading
        "    ---\n",  # a rule
        "- item\n---\n",  # a list and a rule
        "~~~\n# code\n~~~\n",
        "> ```\n> # code\n> ```\n",
        "````\n```\n# code\n````\n",
        "#hashtag\n",
        "``` not `a fence`\n",
    ],
)
def test_only_the_first_of_these_is_a_heading(text: str) -> None:
    assert len(parse_markdown(text).headings) == (text == "a\n---\n")


def test_a_fence_that_is_never_closed_reaches_to_the_end() -> None:
    document = parse_markdown("# One\n```\n# Two\n[a](b.md)\n")
    assert outline(document) == [(1, "One", 1)]
    assert not document.links


RESTRUCTURED = """\
=====
Title
=====

A paragraph with `a link <docs/a.rst>`_ and :func:`code`.

Part
----

Example::

    # literal `no <link.rst>`_

.. image:: img/a.png
   :alt: not text

.. _target: other.txt

Deeper
~~~~~~

Another part
------------
"""


def test_sections_of_restructured_text_are_ranked_in_the_order_they_come() -> None:
    assert outline(parse_restructured(RESTRUCTURED)) == [
        (1, "Title", 2),
        (2, "Part", 7),
        (3, "Deeper", 19),
        (2, "Another part", 22),
    ]


def test_links_of_restructured_text_are_found_and_literal_blocks_are_not_read() -> None:
    document = parse_restructured(RESTRUCTURED)
    assert links(document) == [("docs/a.rst", 5), ("img/a.png", 14), ("other.txt", 17)]
    assert document.paragraphs[0] == "A paragraph with a link  and code."
    assert "literal" not in " ".join(document.paragraphs)
    assert "not text" not in " ".join(document.paragraphs)


def test_plain_text_is_cut_at_empty_lines() -> None:
    document = parse_plain("One.\nStill one.\n\n\nTwo, see https://example.org/a.\n")
    assert document.paragraphs == ["One.\nStill one.", "Two, see https://example.org/a.\n"]
    assert links(document) == [("https://example.org/a.", 5)]


MARKS = st.text(alphabet="#`*_[]()<>|-=+.: \n\tab1!~\\\"'\0é", max_size=200)


@given(MARKS)
def test_any_text_can_be_taken_apart_and_every_line_is_one_of_it(text: str) -> None:
    last = len(text.splitlines())
    for parse in (parse_markdown, parse_restructured, parse_plain):
        document = parse(text)
        for found in (*document.headings, *document.links):
            assert 1 <= found.line <= last


@pytest.mark.parametrize(
    "piece", ["[", "![", "[a](", "<!--", "<a ", "` ", "*a ", "[a](((", "a\n=\n", "| a \n", "[[]"]
)
def test_a_hostile_text_takes_no_more_than_its_length(piece: str) -> None:
    started = time.process_time()
    parse_markdown(piece * (200_000 // len(piece)))
    # About 0.2 s here; a quadratic pattern takes minutes.
    assert time.process_time() - started < 20
