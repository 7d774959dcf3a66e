"""What a vote in prose says: strict in what counts as a statement, tolerant in its form.

Ground of the patterns' room, pure. A statement is a sentence that is the vote
itself ("Yes."), a label ("Vote: no") or the speaker's own ("I do not approve").
Nothing is guessed from words that merely occur.
"""

from __future__ import annotations

import re
import unicodedata

APPROVE, REJECT, ABSTAIN = "approve", "reject", "abstain"
DOUBT = "doubt"
"""Something was said that spoils every statement: a condition, a retraction, both ways."""

_WORDS = {
    APPROVE: r"approv(?:e|ed|al|ing)|yes|yep|aye|accept(?:ed|ance|ing)?|agreed?|endorsed?"
    r"|in favou?r|lgtm|\+1",
    REJECT: r"reject(?:ed|ion|ing)?|no|nope|nay|deny|denied|declined?|disapproved?|against"
    r"|veto|disagree|opposed?|-1",
    ABSTAIN: r"abstain(?:ed|ing)?|abstention",
}
_KIND_OF = {kind: re.compile(words) for kind, words in _WORDS.items()}
_ANY = "|".join(_WORDS.values())
_THING = (
    "proposal|feature|changes|change|request|pull request|pr|motion|plan|release|design|merge"
    "|patch|proposition|application|measure|resolution|bill|deal|budget"
)
_OBJECT = rf"(?: of)?(?: (?:(?:this|the) (?:{_THING})|this|it|that))"
_BARE = re.compile(rf"(?P<no>not to |not |do not )?(?P<word>{_ANY})(?:{_OBJECT})?(?![\w'])")
_LABEL = re.compile(
    r"(?:my )?(?:final |overall )?(?:vote|decision|verdict|ballot|answer|recommendation)"
    r"(?: is(?: to)? | ?[:=] ?| [-\u2013\u2014] )"
)
_HOW = (
    r"(?:(?:hereby|fully|firmly|strongly|wholeheartedly|therefore|still|personally|definitely"
    r"|certainly|absolutely|clearly) )*"
)
_AUXILIARY = r"(?:(?:must|have to|will|choose to|decided? to|have decided to|am going to) )?"
_OWN_NO = r"(?P<no>(?:do|will|would|must|am) not (?:going to )?|cannot )?"
_OWN_VERBS = (
    rf"(?:(?P<yes>(?:approve|support|endorse|accept|vote for)(?:{_OBJECT})?|agree)"
    rf"|(?P<against>(?:reject|oppose|disapprove|decline|veto|vote against)(?:{_OBJECT})?|disagree)"
    r"|(?P<neither>abstain(?:ing)?(?: from (?:this|the) (?:vote|ballot|decision))?)"
    rf"|(?:vote|am voting|voting|recommend)(?: to)? (?P<word>{_ANY})(?:{_OBJECT})?)(?![\w'])"
)
_OWN = re.compile(rf"i (?:am )?{_HOW}{_AUXILIARY}{_HOW}{_OWN_NO}{_HOW}{_OWN_VERBS}")
_WISHED = re.compile(rf"i (?:would|could|might|may)\b(?! not).*\b(?:{_ANY})\b")
_ENDS = re.compile(
    r"\s*$|[.,;:!(]|\.\.\.|\s+[-\u2013\u2014]+\s|\u2014|\s(?:because|since|due to)\b"
)
_GOES_ON = re.compile(r"\s(?:and|for|as)\b")
_CONDITION = re.compile(
    r"\b(?:if|unless|provided|providing|assuming|as long as|so long as|as soon as|once"
    r"|only when|conditions?|conditional(?:ly)?|depending|depends|pending|until|except"
    r"|subject to|whether|would|could)\b"
)
_REASON = re.compile(r"\b(?:because|since|due to|as)\b")
_BUT = re.compile(rf"\b(?:but|however|although|though|yet)\b.*\b(?:not|never|cannot|{_ANY})\b")
_TAKEN_BACK = re.compile(
    r"(?:actually|wait|on second thoughts?|scratch that|never ?mind|just kidding|correction"
    r"|hold on|not really|i take (?:that|it) back)\b|.*\bchanged my mind\b"
)
_OPENING = re.compile(
    r"(?:so|therefore|thus|hence|overall|in conclusion|in summary|finally|accordingly"
    r"|consequently|on balance|after [^,.]{1,60},),? "
)
_CONTRACTIONS = (
    ("can't", "cannot"), ("can not", "cannot"), ("won't", "will not"), ("n't", " not"),
    ("i'm ", "i am "), ("i'll ", "i will "),
)  # fmt: skip
_THUMBS = (("\U0001f44d", "yes"), ("\u2705", "yes"), ("\U0001f44e", "no"), ("\u274c", "no"))
_QUOTED = re.compile(r'"[^"]*"')
_LINE_START = re.compile(r"^\s*(?:#+ |[-*] )\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def vote_in(text: str) -> str | None:
    """Read a vote.

    Returns:
        `approve`, `reject`, `abstain`; `doubt` where it is said both ways, on a condition or
        taken back; None where nothing is stated.
    """
    readings = {reading for one in sentences(text) if (reading := _statement(one)) is not None}
    if len(readings) > 1:
        return DOUBT
    return next(iter(readings), None)


def sentences(text: str) -> list[str]:
    """The sentences of a text in lower case, without questions, quotations and markup."""
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'").strip()
    text = text.translate({0x201C: '"', 0x201D: '"'})
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]:
        text = text[1:-1]
    text = _QUOTED.sub('"..."', text)
    for sign, word in _THUMBS:
        text = text.replace(sign, f"{word}.\n")
    found: list[str] = []
    for line in text.splitlines():
        if line.lstrip().startswith(">"):
            continue
        bare = re.sub(r"\*\*|__|`|(?<!\w)\*|\*(?!\w)", "", _LINE_START.sub("", line))
        found += (one.strip() for one in _SENTENCE_END.split(bare.strip()))
    return [_plain(one) for one in found if one and not one.endswith("?")]


def _plain(sentence: str) -> str:
    sentence = " ".join(sentence.lower().split())
    for short, long in _CONTRACTIONS:
        sentence = sentence.replace(short, long)
    return _OPENING.sub("", sentence, count=1) if _OPENING.match(sentence) else sentence


def _statement(sentence: str) -> str | None:
    if _TAKEN_BACK.match(sentence) or _WISHED.match(sentence):
        return DOUBT
    label = _LABEL.match(sentence)
    if label:
        sentence = sentence[label.end() :]
    found = _BARE.match(sentence) or (None if label else _OWN.match(sentence))
    if found is None:
        return None
    rest = sentence[found.end() :]
    if _CONDITION.search(_without_reason(rest)):
        return DOUBT
    if not _ENDS.match(rest) and not (_GOES_ON.match(rest) and "i " in found[0][:2]):
        return None
    vote = _vote(found)
    return DOUBT if _spoilt(vote, rest) else vote


def _without_reason(rest: str) -> str:
    if re.search(r"\bas (?:soon|long) as\b", rest):
        return rest
    reason = _REASON.search(rest)
    return rest[: reason.start()] if reason else rest


def _vote(found: re.Match[str]) -> str:
    said = found.groupdict()
    if said.get("yes"):
        vote = APPROVE
    elif said.get("against"):
        vote = REJECT
    elif said.get("neither"):
        vote = ABSTAIN
    else:
        vote = next(kind for kind, words in _KIND_OF.items() if words.fullmatch(said["word"]))
    if said["no"]:
        # Who does not reject has not approved.
        return REJECT if vote == APPROVE else DOUBT
    return vote


def _spoilt(vote: str, rest: str) -> bool:
    """Whether what follows a vote in its sentence says something else."""
    if vote == DOUBT or _BUT.search(rest):
        return True
    following = re.sub(r"^[\s.,;:!\u2013\u2014-]*(?:and |or )?", "", rest)
    other = _BARE.match(following) or _OWN.match(following)
    return other is not None and _vote(other) != vote
