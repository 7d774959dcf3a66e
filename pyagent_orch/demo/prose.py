"""Figures of a text that people read: its length, its ease and its subject.

Part of the demo, on the layer of the edges; pure. The texts come taken apart
from `markdown.py` and its like.
"""

from __future__ import annotations

import re
from collections import Counter

from pyagent_orch.demo.document import Document

WORDS_PER_MINUTE = 238
"""Silent reading of English non-fiction by adults: Brysbaert, "How many words do we read per
minute?", Journal of Memory and Language 109 (2019)."""

MIN_WORDS_FOR_EASE = 100
"""Flesch took samples of a hundred words; the figure of a shorter text says little."""

_WORD = re.compile(r"[^\W\d_]+(?:['\N{RIGHT SINGLE QUOTATION MARK}-][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?\N{HORIZONTAL ELLIPSIS}]+[\"')\]\u201d\u2019]*(?=\s|$)")
_NO_END = frozenset(
    {"e.g", "i.e", "etc", "vs", "cf", "dr", "mr", "mrs", "ms", "no", "fig", "approx"}
)
_VOWELS = re.compile(r"[aeiouy]+")
_SILENT_END = re.compile(
    r"(?:[^laeiouy]|[aeiouy]l)e$|(?:[^laeiouytd]|[laeiouy]l)ed$|(?:[^laeiouysxzcgh]|[aeiouy]l)es$"
)
# The ten most frequent English words; together about a fifth of any English text.
_ENGLISH = frozenset({"the", "of", "and", "to", "in", "a", "is", "that", "for", "it"})
_STOP_WORDS = """
about above after again against all also although always among and another any anything are
because been before being below best better between both but can cannot could did does doing
done down during each either else enough even ever every few first for from further get gets
give given gives goes going had has have having her here hers him his how however into its
itself just keep kept last least less let like long made make makes many may might more most
much must need needs neither never new next nor not nothing now off often old once one only
onto other others otherwise our out over own per put rather same say says see seen set several
shall she should since so some something still such take takes than that the their them then
there these they thing things this those though three through thus too two under until upon
use used uses using very want was way well were what when where whether which while who whole
whom whose why will with within without would yet you your
"""


def words_of(text: str) -> list[str]:
    """The words of a text, in order: runs of letters, hyphens and apostrophes within."""
    return _WORD.findall(text)


def all_words(document: Document) -> list[str]:
    """The words of the headings, the paragraphs and the tables."""
    titles = (heading.title for heading in document.headings)
    return [
        word
        for part in (*titles, *document.paragraphs, *document.fragments)
        for word in words_of(part)
    ]


def count_sentences(paragraph: str) -> int:
    """Count the sentences of a paragraph; words after the last full stop are one, too."""
    sentences = start = 0
    has_words = False
    for end in _SENTENCE_END.finditer(paragraph):
        has_words = has_words or bool(_WORD.search(paragraph, start, end.start()))
        start = end.end()
        last_words = paragraph[max(0, end.start() - 20) : end.start()].split()
        last = last_words[-1].lower().lstrip("(\"'[") if last_words else ""
        follows = paragraph[start : start + 20].lstrip()[:1]
        if has_words and last not in _NO_END and not follows.islower():
            sentences += 1
            has_words = False
    return sentences + (has_words or bool(_WORD.search(paragraph, start)))


def count_syllables(word: str) -> int:
    """Count the syllables of an English word by its groups of vowels; at least 1.

    Right for about nine words in ten, which is enough for an average.
    """
    return max(1, len(_VOWELS.findall(word.lower())) - bool(_SILENT_END.search(word.lower())))


def reading_ease(paragraphs: list[str]) -> float | None:
    """Flesch's reading ease: 206.835 - 1.015 words per sentence - 84.6 syllables per word.

    Higher is easier; 60 to 70 is plain English, below 30 is very difficult. The
    formula: Flesch, "A new readability yardstick", Journal of Applied Psychology 32 (1948).

    Args:
        paragraphs: plain text; headings and tables make no sentences and are left out.

    Returns:
        The figure, one digit after the point; None for less than a hundred words, and for
        a text that is hardly English, which the formula does not fit.
    """
    words = [word for paragraph in paragraphs for word in words_of(paragraph)]
    english = sum(word.lower() in _ENGLISH for word in words)
    if len(words) < MIN_WORDS_FOR_EASE or english * 12 < len(words):
        return None
    sentences = sum(count_sentences(paragraph) for paragraph in paragraphs)
    syllables = sum(count_syllables(word) for word in words)
    return round(206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words), 1)


def telling_terms(words: list[str], limit: int = 8) -> dict[str, int]:
    """The words that come most often, less stop words and words of one or two letters.

    Returns:
        Maps at most `limit` words in lower case to their count, most frequent first; only
        words that come at least twice.
    """
    counts = Counter(word.lower() for word in words)
    stop_words = frozenset(_STOP_WORDS.split())
    telling = [
        (word, count)
        for word, count in counts.items()
        if count > 1 and len(word) > 2 and word not in stop_words  # noqa: PLR2004 - see above
    ]
    return dict(sorted(telling, key=lambda item: (-item[1], item[0]))[:limit])
