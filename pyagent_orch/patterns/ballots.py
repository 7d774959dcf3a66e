"""Reading votes and verdicts, whatever form they come in.

Structured answers, JSON in text and prose are read; what is not plain is invalid,
and never guessed. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pyagent_orch.models.values import JSONValue
from pyagent_orch.patterns import doubts
from pyagent_orch.patterns.answers import (
    READ,
    TwiceError,
    clean,
    json_objects,
    number_in,
    text_of,
    unwrapped,
)
from pyagent_orch.patterns.prose import ABSTAIN, APPROVE, DOUBT, LONG, REJECT, pieces, vote_in

INVALID = "invalid"
REASON_KEPT = 4_000
"""How many characters of a voter's reasons are kept."""
Vote = Literal["approve", "reject", "abstain", "invalid"]
Side = Literal["pro", "con"]

BALLOT_SCHEMA: dict[str, Any] = {
    "title": "Ballot",
    "type": "object",
    "properties": {
        "vote": {"type": "string", "enum": [APPROVE, REJECT, ABSTAIN]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "reasoning": {"type": "string", "description": "Why, in a few sentences."},
    },
    "required": ["vote", "reasoning"],
}
"""What a voting model is asked to answer."""

VERDICT_SCHEMA: dict[str, Any] = {
    "title": "Verdict",
    "type": "object",
    "properties": {
        "winner": {"type": "string", "enum": ["pro", "con"]},
        "reasoning": {"type": "string", "description": "Why this side argued better."},
        "scores": {
            "type": "object",
            "properties": {
                "pro": {"type": "number", "minimum": 0, "maximum": 10},
                "con": {"type": "number", "minimum": 0, "maximum": 10},
            },
        },
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
    "required": ["winner", "reasoning"],
}
"""What a judging model is asked to answer."""

_MARK, _LINE = "\x00", "\n"
_VOTE_KEYS = ("vote", "decision", "verdict", "ballot", "answer", "choice", "final_vote",
              "final_decision", "final_answer")  # fmt: skip
_TERM_KEYS = ("condition", "conditions", "conditional")
_FLAGS = {"approve": APPROVE, "approved": APPROVE, "reject": REJECT, "rejected": REJECT,
          "abstain": ABSTAIN}  # fmt: skip
_REASON_KEYS = ("reasoning", "reason", "rationale", "explanation", "justification")
_CONFIDENCE = re.compile(r"confidence\W{0,6}(\d{1,3}(?:\.\d{1,6})?)\s*(%?)", re.IGNORECASE)
_WINNER = re.compile(
    r"(?:(?:the )?winner(?: is|:| =) ?(?:the )?(?P<label>pro|con)"
    r"|(?:my |final )*(?:verdict|decision): ?(?P<verdict>pro|con)"
    r"|(?:the )?(?P<named>pro|con)(?: side)? (?:wins|won)"
    r"|(?P<bare>pro|con))(?P<rest>\b.*)"
)
_BARE_END = re.compile(r"\s*(?:$|[.,;:!(]|because\b|since\b)")
_UNSURE = re.compile(
    r"\b(?:or|if|unless|not|but|neither|both|draw|tie|maybe|perhaps|probably|possibly|guess|suppose"
    r"|kidding|says|said|although|though|however|only|rounds?|and (?:pro|con))\b"
    r"|\b(?:pro|con)(?: side)? (?:wins|won)\b"
)
_WON = re.compile(r"\b(pro|con)(?: side)? (?:wins|won)\b")
_ON_WINNING = re.compile(r"\b(?:w[io]ns?|winner|verdict|better|decision)\b")


class Ballot(BaseModel):
    """One voter's vote. Frozen, JSON."""

    model_config = ConfigDict(frozen=True)

    agent: str
    vote: Vote
    confidence: float | None = Field(default=None, ge=0, le=1)
    """0 to 1; None where the voter did not say."""
    reasoning: str = ""
    weight: float = 1.0
    problem: str = ""
    """Why it is invalid; empty for any other vote."""

    def __str__(self) -> str:
        sure = "" if self.confidence is None else f" ({self.confidence:.0%} sure)"
        why = self.problem or " ".join(self.reasoning.split())
        return f"{self.agent}: {self.vote}{sure}" + (f" - {why}" if why else "")


class Verdict(BaseModel):
    """What a judge said. Frozen, JSON."""

    model_config = ConfigDict(frozen=True)

    winner: Side | None
    """None where the judge did not say so plainly."""
    reasoning: str = ""
    scores: dict[Side, float] = Field(default_factory=dict)
    """Maps sides to points, 0 to 10, where the judge gave them."""
    confidence: float | None = None
    """0 to 1."""


def read_ballot(agent: str, answer: JSONValue, weight: float = 1.0) -> Ballot:
    """Read a vote; `invalid` where it is not plain.

    Args:
        agent: the voter's name.
        answer: what it answered: an object, a truth value, or text.
        weight: how much the vote counts.
    """
    if isinstance(answer, bool):
        return Ballot(agent=agent, vote=APPROVE if answer else REJECT, weight=weight)
    if isinstance(answer, dict):
        return _ballot(agent, _vote_of(answer), answer, "", weight)
    if not isinstance(answer, str):
        return invalid_ballot(agent, f"a vote is no {type(answer).__name__}", weight)
    if len(answer) > READ:
        problem = f"its answer has {len(answer)} characters, more than {READ} are not read"
        return invalid_ballot(agent, problem, weight)
    try:
        objects, text = json_objects(answer.replace(_MARK, " "), _marked)
    except TwiceError:
        return invalid_ballot(agent, "a key stands twice in its JSON", weight, answer)
    voting = [one for one in objects if _vote_of(one) is not None]
    votes = {_vote_of(one) for one in voting}
    # An object says what its vote says in words, so what stands around it can spoil it.
    vote = DOUBT if DOUBT in votes or len(votes) > 1 else vote_in(_in_words(text))
    return _ballot(agent, vote, voting[0] if voting else {}, answer, weight)


def _marked(ballot: Mapping[str, Any]) -> str:
    vote = _vote_of(ballot)
    return "" if vote in (None, DOUBT) else f"{_MARK}{vote}{_MARK}"


def _in_words(text: str) -> str:
    """Votes of JSON as sentences of their own, unless the text around goes on with them."""
    parts = text.split(_MARK)
    for place in range(1, len(parts), 2):
        before, after = parts[place - 1], parts[place + 1].lstrip()
        head = before.rstrip()
        alone = not head or head[-1] in ":.!?" or "\n" in before[len(head) :]
        goes_on = after[:1].islower() or after[:1] in (",", ";", "?")
        end = " " if goes_on else ".\n"
        parts[place] = f"{_LINE if alone else ' '}{parts[place]}{end}"
        parts[place + 1] = after
    return "".join(parts)


def invalid_ballot(agent: str, problem: str, weight: float = 1.0, said: str = "") -> Ballot:
    """A ballot that does not count."""
    return Ballot(
        agent=agent,
        vote=INVALID,
        problem=clean(problem, 400),
        weight=weight,
        reasoning=clean(said, REASON_KEPT).strip(),
    )


def _ballot(
    agent: str, vote: str | None, fields: Mapping[str, Any], text: str, weight: float
) -> Ballot:
    inner = unwrapped(fields)
    reasoning = next((inner[key] for key in _REASON_KEYS if isinstance(inner.get(key), str)), text)
    if vote is None or vote == DOUBT:
        problem = "it states no vote" if vote is None else "it does not state one vote plainly"
        return invalid_ballot(agent, problem, weight, reasoning or text_of(dict(fields)))
    return Ballot(
        agent=agent,
        vote=vote,
        confidence=_confidence(inner.get("confidence"), text),
        reasoning=clean(reasoning, REASON_KEPT).strip(),
        weight=weight,
    )


def _vote_of(answer: Mapping[str, Any]) -> str | None:
    """The vote in an object: `doubt` where it is not plain, None where there is none."""
    answer = unwrapped(answer)
    readings: set[str] = set()
    for key, value in answer.items():
        name = key.strip().lower() if isinstance(key, str) else ""
        if name in _VOTE_KEYS:
            readings.add(_vote_of_value(value))
        elif name in _FLAGS:
            readings.add(_flag(name, value))
        elif name in _TERM_KEYS and value:
            readings.add(DOUBT)
    readings.discard("")
    if len(readings) > 1:
        return DOUBT
    return next(iter(readings), None)


def _vote_of_value(value: object) -> str:
    if isinstance(value, bool):
        return APPROVE if value else REJECT
    if isinstance(value, str) and len(value) <= READ:
        return vote_in(value) or DOUBT
    return DOUBT


def _flag(name: str, value: object) -> str:
    if not isinstance(value, bool):
        return DOUBT
    if value:
        return _FLAGS[name]
    # `"reject": false` beside another field says nothing of its own.
    return REJECT if _FLAGS[name] == APPROVE else ""


def _confidence(value: object, text: str) -> float | None:
    if value is None and text:
        found = _CONFIDENCE.search(text)
        if found:
            value = float(found[1]) / (100 if found[2] else 1)
    return number_in(value, 0, 1)


def read_verdict(answer: JSONValue) -> Verdict:
    """Read a judge's verdict; without a winner where it is not plain."""
    if isinstance(answer, dict):
        return _verdict(answer, "")
    if not isinstance(answer, str):
        return Verdict(winner=None, reasoning=text_of(answer))
    if len(answer) > READ:
        return Verdict(winner=None, reasoning=clean(answer, REASON_KEPT))
    try:
        objects, rest = json_objects(answer)
    except TwiceError:
        return Verdict(winner=None, reasoning=clean(answer))
    judging = [one for one in objects if _winner_of(one) is not None]
    found = {_winner_of(one) for one in judging} | _winners_in(rest)
    winner = found.pop() if len(found) == 1 else None
    read = _verdict(judging[0] if judging else {}, answer)
    return read.model_copy(update={"winner": winner})


def _verdict(answer: Mapping[str, Any], text: str) -> Verdict:
    inner = unwrapped(answer) if len(answer) == 1 else answer
    reasoning = next((inner[key] for key in _REASON_KEYS if isinstance(inner.get(key), str)), text)
    scores = inner.get("scores")
    points = {
        side: number
        for side in ("pro", "con")
        if isinstance(scores, dict) and (number := number_in(scores.get(side), 0, 10)) is not None
    }
    return Verdict.model_validate(
        {
            "winner": _winner_of(inner),
            "reasoning": clean(reasoning),
            "scores": points,
            "confidence": _confidence(inner.get("confidence"), text),
        }
    )


def _winner_of(answer: Mapping[str, Any]) -> str | None:
    inner = unwrapped(answer)
    named = [inner[key] for key in ("winner", "verdict", "decision") if key in inner]
    sides = {one.strip().lower() for one in named if isinstance(one, str)}
    if len(named) == 0 or len(sides) != 1 or (len(named) > 1 and not all(
        isinstance(one, str) for one in named
    )):  # fmt: skip
        return None
    side = sides.pop()
    return side if side in ("pro", "con") else None


def _winners_in(text: str) -> set[str | None]:
    """Who is said to win; None stands for words that take it back."""
    found: set[str | None] = set()
    aside: set[str | None] = set()
    before = question = ""
    for whole, asks in pieces(text):
        sentence = whole[:LONG]
        match = None if asks or doubts.introduces(before) else _WINNER.match(sentence)
        is_off = bool(match and match["bare"] and question and not _ON_WINNING.search(question))
        question, before = (sentence, "") if asks else ("", sentence)
        if match is None or is_off or _UNSURE.search(match["rest"]) or (
            match["bare"] and not _BARE_END.match(match["rest"])
        ):  # fmt: skip
            aside |= set() if asks else set(_WON.findall(sentence))
            if found and doubts.retracts(sentence):
                found.add(None)
            continue
        found.add(match["label"] or match["verdict"] or match["named"] or match["bare"])
    return found | aside if found else found
