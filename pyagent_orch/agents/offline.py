"""The offline model: no network, no key, the same answer each time, and it says so.

Not a fake of a model but a stand-in that lets data be seen flowing: it repeats
its role, and the key sentences and most frequent terms of what it was given.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
import re
from collections import Counter

from pyagent_orch.agents.calls import OFFLINE, ModelAnswer
from pyagent_orch.agents.contract import TEXT
from pyagent_orch.agents.sample import Sampler
from pyagent_orch.agents.spec import Agent
from pyagent_orch.exceptions import ModelRequestError
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue

MARK = "[offline model]"
"""What every answer begins with."""
_log = logging.getLogger("pyagent_orch.agents")
_warned: set[int] = set()
"""The processes that have said so in the log; a forked child says it again."""

_READ_AT_MOST = 60_000
"""Characters that are looked at: some 20 ms of work on the loop that all runs share."""
_KEY_SENTENCES = 3
_SENTENCE_LENGTH = 240
_TERMS = 8
_CHARACTERS_PER_TOKEN = 4
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")  # noqa: RUF001 - full-width stops are meant
_WORD = re.compile(r"[^\W\d_][\w'-]+")
_OWN_LINE = re.compile(
    r"^(\[offline model\].*|Key points:|Frequent terms:.*|</?output.*)$", re.MULTILINE
)
_COMMON_WORDS = """
about after all also and any are because been before being between both but can could did does
each for from had has have her here him his how into its just like may more most must not now off
one only other our out over shall she should some such than that the their them then there these
they this those through too under until upon use used very was were what when where which while
who why will with would you your
"""
_COMMON = frozenset(_COMMON_WORDS.split())


async def answer(model: str, agent: Agent, prompt: str) -> ModelAnswer:
    """Answer without a model; a `ModelAdapter`.

    Named `offline:20` it takes its time as a model does, and says 20 words a second.

    Raises:
        ModelRequestError: no instance of the output schema could be made, or what stands
            behind `offline:` is no number of words.
    """
    _say_so_once()
    pace = _pace(model, agent)
    output: JSONValue
    if agent.output_schema is None:
        output = digest(agent, prompt)
    else:
        seed = hashlib.sha256(f"{agent.instructions}\0{prompt}".encode()).hexdigest()
        try:
            output = Sampler(seed, f"{MARK} {gist(prompt)}").instance(agent.output_schema)
        except ValueError as error:
            raise ModelRequestError(
                agent.name,
                f"the offline model cannot fill the output schema ({error}); set "
                "PYAGENT_ORCH_MODEL to a real model",
            ) from None
    written = output if isinstance(output, str) else str(output)
    await _say(written, pace)
    usage = Usage(
        model=OFFLINE,
        requests=1,
        input_tokens=_tokens(agent.instructions + prompt),
        output_tokens=_tokens(written),
        cost_usd=0.0,
    )
    return ModelAnswer(output, usage)


def _pace(model: str, agent: Agent) -> float:
    """Seconds for each word."""
    _, colon, words = model.partition(":")
    if not colon:
        return 0.0
    try:
        per_second = float(words)
    except ValueError:
        per_second = 0.0
    if not 0 < per_second < math.inf:
        raise ModelRequestError(
            agent.name, f"{model[:80]!r} is no model; offline:20 says 20 words a second"
        )
    return 1 / per_second


async def _say(text: str, pace: float) -> None:
    sink = TEXT.get()
    if not pace:
        if sink is not None:
            sink.write(text)
        return
    for word in re.findall(r"\s*\S+\s*", text):
        await asyncio.sleep(pace)
        if sink is not None:
            sink.write(word)


def digest(agent: Agent, prompt: str) -> str:
    """The role, the key sentences and the most frequent terms, as text for people."""
    text = _OWN_LINE.sub("", prompt[:_READ_AT_MOST])
    role = " ".join(agent.instructions.split())
    lines = [f"{MARK} {_cut(role)}"]
    sentences = key_sentences(text)
    if sentences:
        lines += ["Key points:", *(f"- {sentence}" for sentence in sentences)]
    terms = _terms(text).most_common(_TERMS)
    if terms:
        lines.append("Frequent terms: " + ", ".join(f"{word} ({n})" for word, n in terms))
    return "\n".join(lines)


def gist(prompt: str) -> str:
    """The one sentence of a text that says most of it."""
    return next(iter(key_sentences(_OWN_LINE.sub("", prompt[:_READ_AT_MOST]), 1)), "no text")


def key_sentences(text: str, count: int = _KEY_SENTENCES) -> list[str]:
    """The sentences with the most frequent terms, in their order in the text.

    A sentence counts by the mean weight of its words, so that length alone does not win.
    """
    sentences = [s.strip(" -*#>\t") for s in _SENTENCE_END.split(text)]
    sentences = list(dict.fromkeys(s for s in sentences if _WORD.search(s)))
    weights = _terms(text)

    def weight(sentence: str) -> float:
        words = [w.lower() for w in _WORD.findall(sentence)]
        return sum(weights[word] for word in words) / (len(words) + 3)

    best = sorted(range(len(sentences)), key=lambda n: (-weight(sentences[n]), n))[:count]
    return [_cut(sentences[n]) for n in sorted(best)]


def _terms(text: str) -> Counter[str]:
    words = (word.lower() for word in _WORD.findall(text))
    return Counter(word for word in words if len(word) > 2 and word not in _COMMON)  # noqa: PLR2004


def _cut(sentence: str) -> str:
    if len(sentence) <= _SENTENCE_LENGTH:
        return sentence
    return sentence[:_SENTENCE_LENGTH].rsplit(" ", 1)[0] + "…"


def _tokens(text: str) -> int:
    """About how many tokens a text has: one for every four characters."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def _say_so_once() -> None:
    pid = os.getpid()
    if pid not in _warned:
        _warned.add(pid)
        _log.warning(
            "Agents answer with the offline model, which only repeats what it is given. For a "
            "real one set PYAGENT_ORCH_MODEL or agent(model=...), such as 'openai:gpt-5', put its "
            "key in the environment, and install its library: pip install 'pyagent-orch[openai]'"
        )
