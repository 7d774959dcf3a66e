"""What a vote in prose says: strict in what counts as a statement, tolerant in its form.

Ground of the patterns' room, pure. A statement is a sentence that is the vote
itself ("Yes."), a label ("Vote: no") or the speaker's own ("I do not approve").
Nothing is guessed from words that merely occur.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from pyagent_orch.patterns import doubts

APPROVE, REJECT, ABSTAIN = "approve", "reject", "abstain"
DOUBT = "doubt"
"""Something was said that spoils every statement: a condition, a retraction, both ways."""

LONG = 1_500
"""A vote in a longer sentence is a doubtful one; nobody votes so."""

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
_BARE = re.compile(rf"(?P<no>not to |not |do not )?(?P<word>{_ANY})(?:{_OBJECT})?(?![\w']|\.\d)")
_LABEL = re.compile(
    r"(?:my )?(?:final |overall )?(?:vote|decision|verdict|ballot|answer|recommendation)"
    r"(?: is:?(?: to)? | ?[:=] ?(?:to )?| [-\u2013\u2014] )"
)
_HOW = (
    r"(?:(?:hereby|fully|firmly|strongly|wholeheartedly|therefore|still|personally|definitely"
    r"|certainly|absolutely|clearly) )*"
)
_AUXILIARY = r"(?:(?:must|have to|will|choose to|decided? to|have decided to|am going to) )?"
_OWN_NO = (
    r"(?P<no>(?:do|will|would|must|am) not (?:going to )?|cannot "
    r"|(?:refuse|decline|unable|not able) to )?"
)
_OWN_VERBS = (
    r"(?:(?P<yes>(?:support approv(?:al|ing)|in favou?r|approve|support|endorse|accept|vote for)"
    rf"(?:{_OBJECT})?|agree)"
    rf"|(?P<against>(?:recommend against approv(?:al|ing)|against|opposed(?: to)?|reject|oppose"
    rf"|disapprove|decline|veto|vote against)(?:{_OBJECT})?|disagree)"
    r"|(?P<neither>abstain(?:ing)?(?: from (?:this|the) (?:vote|ballot|decision))?)"
    r"|(?:vote|am voting|voting|recommend)(?P<not> (?:to )?not)?(?: to| that we)?"
    rf" (?P<word>{_ANY})(?:{_OBJECT})?)(?![\w'])"
)
_OWN = re.compile(rf"i (?:am )?{_HOW}{_AUXILIARY}{_HOW}{_OWN_NO}{_HOW}{_OWN_VERBS}")
_WISHED = re.compile(rf"i (?:would|could|might|may)\b(?! not).*\b(?:{_ANY})\b")
_ENDS = re.compile(
    r"\s*$|[.,;:!(]|\s\(|\.\.\.|\s+[-\u2013\u2014]+\s|\u2014|\s(?:because|since|due to)\b"
    r"|\s(?:as is|as-is|as it is|as it stands|with (?:\w+ )?(?:confidence|pleasure)"
    r"|without (?:any )?(?:reservations?|hesitation|doubts?))\b"
)
_GOES_ON = re.compile(r"\s(?:and|for|as)\b")
_OPENING = re.compile(
    r"(?:so|therefore|thus|hence|overall|in conclusion|in summary|finally|accordingly"
    r"|consequently|on balance|now|unfortunately|sadly|sure|ok|okay|in my (?:opinion|view)"
    r"|as an? [^,.]{0,30}(?:expert|engineer|designer|specialist|reviewer|architect|analyst"
    r"|developer|manager|officer|lawyer|critic|researcher|tester|auditor|consultant),"
    r"|from (?:an?|the|my) [^,.]{1,40}(?:standpoint|perspective|view|viewpoint),"
    r"|(?:based on|considering|given(?! that)|despite|although|in (?:light|view) of) [^,.]{1,60},"
    r"(?= i | my )|after (?:reviewing|considering|reading|weighing|examining) [^,.]{1,60},"
    r"|after (?:(?:a|an|my|some|much|due|full|long|close|careful|thorough|detailed|further) )*"
    r"(?:review|consideration|thought|reading|reflection|discussion|analysis)"
    r"(?: of [^,.]{1,40})?,),? "
)
_LINK = re.compile(r"(?:and|but|however|that said),? ")
_CONTRACTIONS = (
    ("can't", "cannot"), ("can not", "cannot"), ("won't", "will not"), ("n't", " not"),
    ("i'm ", "i am "), ("i'll ", "i will "), ("i'd ", "i would "),
)  # fmt: skip
_HANDS = {"\U0001f44d": "yes", "\U0001f44e": "no"}
_MARKS = {"\u2705": "yes", "\u274c": "no"}
"""Also bullets of lists: a vote where they stand alone, or before the same vote in words."""
_SIGNS = _HANDS | _MARKS
_TONES = "\ufe0f\U0001f3fb-\U0001f3ff"
_SIGNED = re.compile(rf"\s*(?P<sign>[{''.join(_SIGNS)}])(?:[{_TONES}]|(?P=sign))*\s*(?P<rest>.*)")
_QUOTED = re.compile(r'"[^"]*"')
_LINE_START = re.compile(r"^\s*(?:#+ |[-*] )\s*")
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!e\.g\.)(?<!i\.e\.)(?<!vs\.)\s+")
_IS_WEAK = re.compile(
    r"\b(?:yes|yep|aye|agreed?|accept\w*|no|nope|nay|disagree|against|lgtm)\b|[+-]1"
)
_ANSWERS = re.compile(r"yes|yep|aye|no|nope|nay")
_LABELS = re.compile(rf"\b{_LABEL.pattern}(?P<vote>{_ANY})(?![\w'])")
_OWN_WITHIN = re.compile(rf"(?<=[ ,(]){_OWN.pattern}")
_SOMEBODYS = re.compile(
    r".*\b(?:initial|previous|first|earlier|old|last|draft|their|his|her|your|\w+'s)"
    r"(?: (?:vote|decision|verdict):)? $"
)
_LAST_WORD = re.compile(rf"(?:[a-z]+ ){{0,2}}[a-z]+[,:] (?P<vote>{_ANY})\W*$")
_HANGING = re.compile(r".*\b(?:not|never|cannot|to|and|or|if|unless|should|must|will|would|say)$")
_DENIES = re.compile(rf".*\b(?:not|never|cannot|\w+n't|without)\b(?!.*\b(?:{_ANY})\b)")
_LABELLED = re.compile(r"\W*[\w ]{1,30}[:=]")


@dataclass(frozen=True, slots=True)
class _Stated:
    """A vote that a sentence states."""

    vote: str
    is_weak: bool = False
    """It is a word such as "yes", which may be said of something else."""
    is_answer: bool = False
    """It is "yes" or "no" and nothing more, which belongs to the question before it."""
    is_wish: bool = False
    """It is what the speaker would do; who has rejected may say so."""


def vote_in(text: str) -> str | None:
    """Read a vote.

    Returns:
        `approve`, `reject`, `abstain`; `doubt` where it is said both ways, on a condition or
        taken back; None where nothing is stated.
    """
    if len({word for sign, word in _SIGNS.items() if sign in text}) > 1:
        return DOUBT
    clerk = _Clerk()
    for sentence, asks in pieces(text):
        clerk.hear(sentence, asks=asks)
    return clerk.reading


@dataclass(slots=True)
class _Clerk:
    """Who reads a text sentence by sentence, and notes the votes in it."""

    readings: set[str] = field(default_factory=set)
    asides: set[str] = field(default_factory=set)
    """Votes within sentences that are none themselves: they can only spoil another."""
    question: str = ""
    """The sentence before this one, where it asks."""
    before: str = ""
    """The sentence before this one, where it does not."""
    last: _Stated | None = None
    """The last vote."""
    is_next: bool = False
    """The sentence before this one stated it."""

    @property
    def reading(self) -> str | None:
        """What all of it says."""
        if len(self.readings) > 1 or (self.readings and self.asides - self.readings):
            return DOUBT
        return next(iter(self.readings), None)

    def hear(self, sentence: str, *, asks: bool) -> None:
        """Take the next sentence."""
        if asks:
            if self.last and doubts.retracts(sentence):
                self.readings.add(DOUBT)
            self.question, self.before, self.is_next = sentence, "", False
            return
        stated = self._stated(sentence[:LONG])
        if stated and len(sentence) > LONG:
            stated = _Stated(DOUBT)
        sentence = sentence[:LONG]
        if stated:
            self.readings.add(DOUBT if doubts.introduces(self.before) else stated.vote)
            self.last, self.is_next = stated, True
        else:
            self.asides |= _asides(sentence)
            if self.last and self._is_taken_back(self.last, sentence):
                self.readings.add(DOUBT)
            self.is_next = False
        self.question, self.before = "", sentence

    def _stated(self, sentence: str) -> _Stated | None:
        stated = _statement(sentence)
        if stated is None or (stated.is_wish and self.last and self.last.vote == REJECT):
            return None
        if stated.is_answer and self.question:
            said_yes = doubts.answered(self.question)
            if said_yes is None:
                return None
            return stated if said_yes else _Stated(DOUBT)
        return stated

    def _is_taken_back(self, last: _Stated, sentence: str) -> bool:
        approves = last.vote == APPROVE
        if doubts.takes_back(sentence, approves=approves, is_next=self.is_next):
            return True
        return self.is_next and last.is_weak and doubts.contradicts(sentence, approves=approves)


def pieces(text: str) -> list[tuple[str, bool]]:
    """The sentences of a text in lower case, without quotations and markup, and which ask."""
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'").strip()
    text = text.translate({0x201C: '"', 0x201D: '"'})
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" and text[0] not in text[1:-1]:
        text = text[1:-1]
    text = _QUOTED.sub('"..."', text)
    found: list[str] = []
    for line in _joined(map(_spelt, text.splitlines())):
        if line.lstrip().startswith(">"):
            continue
        bare = re.sub(r"\*\*|__|`|(?<!\w)\*|\*(?!\w)", "", _LINE_START.sub("", line))
        found += (one.strip() for one in _SENTENCE_END.split(bare.strip()))
    return [(_plain(one), one.endswith("?")) for one in found if one]


def _spelt(line: str) -> str:
    """A line whose signs are words."""
    signed = _SIGNED.match(line)
    if signed:
        sign, rest = signed["sign"], signed["rest"]
        word = _SIGNS[sign]
        if not rest:
            return f"{word}."
        if sign in _HANDS:
            return f"{word}, {rest}"
        kind = APPROVE if word == "yes" else REJECT
        # A tick before anything else is a bullet.
        return rest if _KIND_OF[kind].match(rest.strip("*_` ").lower()) else line
    for sign, word in _HANDS.items():
        line = line.replace(sign, f" {word} ")
    return line


def _joined(lines: Iterable[str]) -> list[str]:
    """The lines, those that go on in the next one put together with it."""
    found: list[list[str]] = []
    last = ""
    is_apart = False
    for line in lines:
        text = line.strip()
        if not text:
            is_apart = True
            continue
        is_open = last[-1:].isalpha() or last.endswith(",")
        follows = text[0].islower() and not is_apart
        goes_on = follows or _HANGING.match(last) or _DENIES.match(last)
        if is_open and goes_on and not _LABELLED.match(text):
            found[-1].append(text)
        else:
            found.append([line])
        last, is_apart = text.lower(), False
    return [" ".join(parts) for parts in found]


def _plain(sentence: str) -> str:
    sentence = " ".join(sentence.lower().split())
    for short, long in _CONTRACTIONS:
        sentence = sentence.replace(short, long)
    return _OPENING.sub("", sentence, count=1) if _OPENING.match(sentence) else sentence


def _statement(sentence: str) -> _Stated | None:
    if _WISHED.match(sentence):
        return _Stated(DOUBT, is_wish=True)
    sentence = _LINK.sub("", sentence, count=1) if _LINK.match(sentence) else sentence
    label = _LABEL.match(sentence)
    if label:
        sentence = sentence[label.end() :]
    found = _BARE.match(sentence) or (None if label else _OWN.match(sentence))
    if found is None:
        return None
    rest = sentence[found.end() :]
    is_own = found[0].startswith("i ")
    if not _ENDS.match(rest) and not (_GOES_ON.match(rest) and is_own):
        return _Stated(DOUBT) if doubts.has_condition(rest) else None
    vote, weak = _vote(found), bool(_IS_WEAK.search(found[0]))
    if vote == DOUBT or _is_both(vote, rest):
        return _Stated(DOUBT)
    if doubts.spoils(rest, approves=vote == APPROVE, is_weak=weak):
        return _Stated(DOUBT)
    return _Stated(vote, weak and not label, not label and bool(_ANSWERS.fullmatch(found[0])))


def _vote(found: re.Match[str]) -> str:
    said = found.groupdict()
    if said.get("yes"):
        vote = APPROVE
    elif said.get("against"):
        vote = REJECT
    elif said.get("neither"):
        vote = ABSTAIN
    else:
        vote = _kind_of(said["word"])
    if said["no"] or said.get("not"):
        # Who does not reject has not approved.
        return REJECT if vote == APPROVE else DOUBT
    return vote


def _kind_of(word: str) -> str:
    return next(kind for kind, words in _KIND_OF.items() if words.fullmatch(word))


def _asides(sentence: str) -> set[str]:
    """Votes within a sentence that is none itself, such as "on reflection, I reject"."""
    found = {_vote(one) for one in _OWN_WITHIN.finditer(sentence) if _ends(sentence, one)}
    for label in _LABELS.finditer(sentence):
        if not _SOMEBODYS.match(sentence[: label.start()]):
            found.add(_kind_of(label["vote"]))
    last = _LAST_WORD.match(sentence)
    if last and not _SOMEBODYS.match(sentence[: last.start("vote")]):
        found.add(_kind_of(last["vote"]))
    return found


def _ends(sentence: str, found: re.Match[str]) -> bool:
    return bool(_ENDS.match(sentence[found.end() :]))


def _is_both(vote: str, rest: str) -> bool:
    """Whether another vote follows in the same sentence."""
    following = re.sub(r"^[\s.,;:!\u2013\u2014-]*(?:and |or )?", "", rest)
    other = _BARE.match(following) or _OWN.match(following)
    if other is not None and _vote(other) != vote:
        return True
    return any(_kind_of(label["vote"]) != vote for label in _LABELS.finditer(rest))
