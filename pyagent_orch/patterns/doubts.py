"""What spoils a vote in prose: conditions, hedges, retractions, words of others.

Ground of the patterns' room, pure. Works on sentences that `prose` has brought into
plain lower case. It errs to one side: a vote that is not counted is seen and asked
about, one that is counted wrongly is not.
"""

from __future__ import annotations

import re

_GOOD = re.compile(
    r"approv\w*|accept\w*|agree\w*|endors\w*|support\w*|yes|good|great|fine|safe|secure|ready|sound"
    r"|solid|excellent|perfect|amazing|wonderful|nice|love|works|harmless|flawless|ok|okay|correct"
    r"|ship|shipped|merge|merged|proceed|ahead|green|benefi\w*|valuable|value|useful|helps?|helpful"
    r"|improv\w*|well|clean|clear|simple|strong|worth\w*|like|needed|tested|reasonable|justified"
    r"|confiden\w*|fast|go"
)
_BAD = re.compile(
    r"reject\w*|block\w*|stop\w*|kill\w*|object\w*|oppos\w*|broken|breaks?|bad|terrible|awful"
    r"|horrible|unsafe|unsound|insecure|dangerous|risk\w*|wrong|fail\w*|red|leak\w*|slow\w*|bugs?"
    r"|buggy|fix|problem\w*|concern\w*|issues?|vulnerab\w*|flaw\w*|harm|harms|harmful|hate|worse"
    r"|worst|disast\w*|veto\w*|deny|denied|declin\w*|against|premature|incomplete|missing"
    r"|unfinished|untested|unacceptable|stupid|mistake|lose|lost|ugly|poor|poorly|mess|disagree\w*"
    r"|disapprov\w*|postpone|delay|revert|wait"
)
_TURNS = re.compile(
    r"not|never|cannot|no|nothing|nobody|none|without|neither|nor|hardly|low|little|few|minimal"
    r"|(?:fix|solv|remov|prevent|reduc|avoid|address|mitigat|eliminat)(?:es|ed|ing|s)"
)
"""A word that turns what follows it into its opposite."""
_LEFT_ALONE = ("not", "never", "cannot")
"""Said of nothing in particular, they say no."""
_REACH = 4
"""How many words on something is turned."""

_CONDITION = re.compile(
    r"\b(?:if|unless|provided|providing|assuming|as long as|so long as|as soon as|once"
    r"|only when|conditions?|conditional(?:ly)?|contingent|depending|depends|pending|until|except"
    r"|excluding|barring|subject to|given that|whether|would|could)\b"
)
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|tentative(?:ly)?|provisional(?:ly)?|i guess|i suppose"
    r"|in theory|in principle|theoretically|hypothetically|for the sake of|partly|partial(?:ly)?"
    r"|in part|mostly|half of|sort of|kind of|just not|not (?:now|yet|today|like this|this one)"
    r"|or not|not really)\b"
)
_LATER = re.compile(
    r"[\s,;:!(\u2013\u2014-]*(?:later|eventually|ideally|some ?day|one day|tomorrow|next \w+|mostly"
    r"|almost|nearly)\b"
)
_NOT_ALL = re.compile(
    r"\b(?:after|before|when|first|apart from|other than|save for|minus|modulo"
    r"|without (?!(?:any )?(?:reservation|hesitation|doubt|question))"
    r"|(?<!the )only|with (?:\w+ ){0,3}(?:changes?|caveats?|reservations?|modifications?"
    r"|amendments?|comments|nits|edits|suggestions|provisos?|exceptions?))\b"
)
"""Who approves so does not approve the thing as it is."""
_TERMS_OF_USE = re.compile(
    r"\b(?:requir\w*|needs?|must|upon|following|whenever|in case|in the event|dependent"
    r"|conditioned|limited|restricted|plus|less|omit\w*|leaving|removing|dropping)\b"
)
_HARD_CONDITION = re.compile(
    r"\b(?:only (?:if|when|after|once)|unless|provided (?:that|the)|on (?:the )?condition"
    r"|conditional(?:ly)?|as long as|so long as|as if|as (?:much|little|far))\b|, if\b"
)
"""A condition also where it stands behind a reason."""
_CONTRAST = re.compile(r"\b(?:but|however|although|though|yet|still|except)\b")
_TURN = re.compile(
    r"\b(?:but|however|although|though|yet)\b.*\b(?:not|never|cannot|yes|approv\w*|accept\w*|reject\w*)"
)
_APPROVAL = re.compile(r"approv\w*")
_REJECTION = re.compile(r"reject\w*")
_FRIENDLY = re.compile(r"\b(?:but|though|still)\b,? please\b")
_OTHERS = re.compile(
    r"\b(?:says|said|say|claims?|claimed|according to|wrote|writes|insists?|argues?|told)\b"
)
_REASON = re.compile(
    r"\b(?:because|since|due to)\b|\bas\b(?!-| (?:long|soon|if|much|little|far|is|it is)\b)"
)
_CAPACITY = re.compile(r"\s(?:as (?:an?|the|your|our)|for(?! (?:\w+ ){0,4}reasons?\b))\s")
_REJECTED = re.compile(r"[\s.,;:!\u2013\u2014-]*(?:do )?not(?: to)? (?:reject|veto|oppose|deny)")
_DENIED = re.compile(r"[^\w?]*(?:and )?(?:not|never)\b")
_VALUE = re.compile(
    r"\s*[:=]?\s*[\u2717\u2718\u274c\U0001f44e]"
    r"|\s*[:=]\s*(?:no?|false|none|\d[\d.]*\s*%?)\s*(?:$|[/,;|.)\]])"
)
"""Not a vote but a field of that name, and what stands in it."""
_NO_REASON = re.compile(r"\b(?:no|any|not see) (?:good |real )?(?:reasons?|grounds?|cause) to \w+")

_GOES_WITH_IT = re.compile(
    r"[^\w+]*(?:$|\d|confidence\b|and\b|with (?:\w+ )?(?:confidence|pleasure)|as is\b|as-is\b"
    r"|as it (?:is|stands)\b|without (?:any )?(?:reservations?|hesitation|doubts?)|nothing to add\b"
    r"|(?:but|though|still),? please\b|reluctantly|this\b\W*$|i (?:think|believe)\b\W*$)"
)
"""What may follow an approval without a good word in it."""
_NEITHER = re.compile(r"\b(?:nor|either)\b")

_RETRACTION = re.compile(
    r"\W*(?:(?:actually|wait|on second thoughts?|scratch that|never ?mind|hold on|not really"
    r"|i take (?:that|it) back)\b"
    r"|(?:edit|update|correction|erratum)\b ?:|(?:correction|oops|whoops|psych|jk)\b|sorry\b"
    r"|i (?:meant|mean)\b|(?:i am )?(?:just )?(?:kidding|joking)\b|just a joke\b|april fool"
    r"|(?:that|this|it) (?:was|is) (?:just )?(?:a joke|sarcasm|not my)\b|opposite day"
    r"|(?:please )?(?:ignore|forget|strike|disregard|discard|cancel) (?:that|this|it|the|my|what)\b"
    r"|as if\W*$|yeah,? right\b|that is,|i am lying|let me (?:re|think)|reconsider"
    r"|i (?:hereby )?(?:retract|withdraw|revoke|rescind|take back)\b"
    r"|or (?:do|is|was|maybe|perhaps|rather|not|actually)\b|rather\b"
    r"|(?:no,? )?i (?:do|did|will|am|would) not\W*$|(?:not|never|maybe|perhaps|possibly)\W*$)"
    r"|(?:said|says)\b|.*\bchanged my (?:mind|vote)\b|.*(?:^|\s)/s$"
    r"|.*\b(?:approval|vote|this|that|it) (?:is|as)? ?(?:void|expires?|lapses|withdrawn|revoked)\b"
    r"|.*\b(?:above|previous|opposite|contrary)\b.*\b(?:false|true|wrong|void)\b"
)
_TERMS = re.compile(
    r"\W*(?:and |but |so )?(?:(?:with |under |on )(?:\w+ ){0,2})?"
    r"(?:conditions?|caveats?|provisos?|reservations?|exceptions?"
    r"|only (?:if|when|after|once|for|the|this|that|part|half|one|in|on))\b"
    r"|\W*with (?:\w+ ){0,3}(?:changes|modifications|amendments|edits)\W*$"
    r"|.*\b(?:my|this|the) (?:approval|vote|yes|rejection)?\b ?"
    r"(?:is|depends|hinges|assumes|requires) ?"
    r"(?:conditional|contingent|provisional|subject to|dependent|on\b|that\b)"
    r"|.*\bbut only\b"
)
"""A sentence behind a vote that puts terms to it."""
_FRAGMENT = re.compile(
    r"\W*(?:and |but )?(?:if|unless|provided|providing|assuming|as long as|so long as|as soon as"
    r"|once|when|until|except|after|before|pending|subject to|contingent|given that|just not"
    r"|not unless)\b[^,]*$"
)
"""What is no sentence without the one before it, and puts terms to that."""
_FRAGMENT_WORDS = 12
_STEPS_BACK = re.compile(
    r"\W*(?:but|however|that said|that being said|having said that|nevertheless|nonetheless"
    r"|still|yet|on the other hand|(?:although|though)\b[^,]*,?)\b.*"
    r"\b(?:not|never|cannot|no|if|unless|until|only|first|before|must|needs?|requires?|conditions?|wait|delay|postpone|revert|reject\w*)\b"
)
_DO = r"(?:approv\w+|accept\w*|ship\w*|merge\w*|releas\w+|deploy\w*|proceed|go (?:ahead|forward))"
_STOPPED = re.compile(
    rf"\b(?:do|must|should|can|may|will|shall) ?not (?:be )?{_DO}"
    r"|\b(?:must|should|needs? to|has to|ought to) be (?:stopped|blocked|reject\w*|denied|declined)"
    r"|\bfirst\W*$|^(?:and |but |please )*(?:wait|hold)\b"
)
_TO_BE_DONE = re.compile(rf"\b(?:must|should|needs? to|has to|ought to) be {_DO}")
_LABELLED = re.compile(r"[\w ]{1,30}:")
_QUOTES_OTHERS = re.compile(
    r".*\b(?:says?|said|reads?|states?|claims?|writes?|wrote|asks?|tells?|contains?|instructs?"
    r"|instructions?|quotes?|quoted|examples?|format|template|options?|possible|choices?|either"
    r"|one of|respond with|answer with|reply with|document|message|ignore)\b.*:$"
    r"|i (?:do|will|would|can|must) ?not\W*$"
)
_ON_THE_VOTE = re.compile(
    r"(?:so,? )?(?:(?:should|shall|do|can|may|will|would|could) (?:we|i|you) "
    r"(?:(?:now|really|all|want to) )*"
    r"|should (?:this|it|the \w+) be )?"
    r"(?:approved?|accept(?:ed)?|adopt(?:ed)?|support|ship(?:ped)?|merged?|released?|proceed"
    r"|go ahead|pass|agree|do (?:this|it)|vote|(?:my|your|the)? ?(?:decision|verdict|vote))"
    r"(?: (?:this|it|the \w+(?: \w+)?))?\W*"
)
_NAMES_A_VOTE = re.compile(r"\b(?:approv|reject)\w*")


def spoils(rest: str, *, approves: bool, is_weak: bool) -> bool:
    """Whether what follows a vote in its sentence makes it another, or none.

    Args:
        rest: the sentence from the vote on.
        approves: what the vote is; else it rejects or abstains.
        is_weak: it is a word such as "yes", which may say yes to something else.
    """
    plain = _without_reason(rest)
    if _VALUE.match(rest) or _HARD_CONDITION.search(rest) or _LATER.match(rest):
        return True
    if any(one.search(plain) for one in (_CONDITION, _HEDGE, _OTHERS)) or _CAPACITY.match(rest):
        return True
    if _RETRACTION.match(rest.lstrip(" ,;:!-\u2013\u2014")) or _names(
        plain, _REJECTION if approves else _APPROVAL
    ):
        return True
    if approves:
        if (
            _NOT_ALL.search(plain)
            or _TERMS_OF_USE.search(plain)
            or (_DENIED.match(rest) and not _REJECTED.match(rest))
        ):
            return True
        if _CONTRAST.search(_FRIENDLY.sub("", rest, count=1)):
            return True
        if not _GOES_WITH_IT.match(plain) and not _leans(plain) & {"good"}:
            return True
    elif _TURN.search(rest) or _NEITHER.search(rest):
        return True
    joined = rest.startswith(" and ")
    return (is_weak or joined) and _leans(plain) == {"bad" if approves else "good"}


def has_condition(rest: str) -> bool:
    """Whether a condition follows a vote."""
    return bool(_CONDITION.search(_without_reason(rest)))


def takes_back(sentence: str, *, approves: bool, is_next: bool) -> bool:
    """Whether a sentence behind a vote takes it back, or puts terms to it.

    Args:
        sentence: one that states no vote itself.
        approves: what the vote before it is; else it rejects or abstains.
        is_next: it follows the vote at once.
    """
    if _RETRACTION.match(sentence) or _TERMS.match(sentence):
        return True
    if is_next and len(sentence.split()) <= _FRAGMENT_WORDS:
        hedges = (
            approves and not sentence.startswith(("maybe", "perhaps")) and _HEDGE.search(sentence)
        )
        if _FRAGMENT.match(sentence) or hedges:
            return True
    if approves:
        return bool(_STEPS_BACK.match(sentence) or _STOPPED.search(sentence))
    return bool(_TO_BE_DONE.search(sentence))


def retracts(sentence: str) -> bool:
    """Whether a sentence takes back what was said before it."""
    return bool(_RETRACTION.match(sentence))


def contradicts(sentence: str, *, approves: bool) -> bool:
    """Whether the sentence behind a lone "yes" or "no" says why it is the opposite."""
    if _LABELLED.match(sentence) or sentence.startswith("if "):
        return False
    return _leans(sentence) == {"bad" if approves else "good"}


def introduces(sentence: str) -> bool:
    """Whether what follows a sentence are somebody else's words, or a form to fill in."""
    return bool(_QUOTES_OTHERS.match(sentence))


def answered(question: str) -> bool | None:
    """Whether a "yes" to a question is a vote; None where it says nothing about it."""
    if _ON_THE_VOTE.fullmatch(question):
        return True
    return False if _NAMES_A_VOTE.search(question) else None


def _names(text: str, vote: re.Pattern[str]) -> bool:
    """Whether a vote is named that nothing turns."""
    words = re.findall(r"[a-z]+", _NO_REASON.sub("", text))
    return any(
        vote.fullmatch(word)
        and not any(_TURNS.fullmatch(one) for one in words[max(0, place - _REACH) : place])
        for place, word in enumerate(words)
    )


def _without_reason(rest: str) -> str:
    reason = _REASON.search(rest)
    return rest[: reason.start()] if reason else rest


def _leans(text: str) -> set[str]:
    """Whether there are `good` and `bad` words in a text, those that are turned the other way."""
    found: set[str] = set()
    left, turned = 0, ""
    words = re.findall(r"[a-z0-9+-]+", _NO_REASON.sub("", text))
    for place, word in enumerate(words):
        last = place == len(words) - 1
        if _TURNS.fullmatch(word) and not (word == "no" and last):
            left, turned = _REACH, word
            continue
        kind = "good" if _GOOD.fullmatch(word) else "bad" if _BAD.fullmatch(word) else ""
        if word == "no":
            kind = "bad"
        if kind:
            found.add(kind if not left else "bad" if kind == "good" else "good")
            left = 0
        elif left:
            left -= 1
    if left and turned in _LEFT_ALONE:
        found.add("bad")
    return found
