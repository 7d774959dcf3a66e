"""Partial text of model calls, against a server that streams as the protocol says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from pydantic import BaseModel

from pyagent_orch import AgentPatterns, Orchestrator, Settings, agent, register_tool
from support.chat_server import Behaviour, ChatServer, answer, tool_call
from support.reading import Reading, read

TEXT = "Der Wind, 風, went round the house and said what it had to say, twice."
Make = Callable[..., Orchestrator]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with ChatServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-key")
        monkeypatch.setenv("PYAGENT_ORCH_MODEL", "openai:any")
        yield server


@register_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"windy in {city}"


class Answer(BaseModel):
    """What is asked for."""

    winner: str


def test_text_of_a_model_is_there_before_the_model_has_said_all(
    server: ChatServer, embedded: Make
) -> None:
    held = threading.Event()
    server.script(answer(TEXT, held=held))
    task = embedded().submit(agent("You tell"), "Tell")
    reading = Reading()
    for piece in task.stream(timeout=20):
        reading.take(piece)
        # The server says the second half only when the first has been read here.
        held.set()
    assert len(reading.pieces) > 1
    assert 10 < len(reading.pieces[0].text) < len(TEXT)
    assert reading.text == task.output == TEXT
    assert task.usage is not None
    assert (task.usage.requests, task.usage.input_tokens, task.usage.output_tokens) == (1, 11, 7)


def test_what_a_model_says_before_it_uses_a_tool_is_replaced_by_its_answer(
    server: ChatServer, embedded: Make
) -> None:
    call = tool_call("weather", city="Bonn").message or {}
    talkative = Behaviour(
        message={**call, "content": "Let me look at the weather."}, word_seconds=0.05
    )
    server.script(talkative, answer(TEXT, word_seconds=0.03))
    task = embedded().submit(agent("You tell", tools=["weather"]), "Tell")
    reading = read(task.stream(timeout=20))
    begins = [piece for piece in reading.pieces if piece.offset == 0]
    assert begins[0].text.startswith("Let me")
    assert [(piece.attempt, piece.part) for piece in begins] == [(1, 1), (1, 2)]
    assert reading.text == task.output == TEXT


def test_a_structured_answer_streams_nothing(server: ChatServer, embedded: Make) -> None:
    server.script(tool_call("final_result", winner="con"))
    task = embedded().submit(agent("You judge", output_type=Answer), "Judge")
    assert list(task.stream(timeout=20)) == []
    assert task.output == {"winner": "con"}
    assert not server.requests[0].body.get("stream")


def test_half_an_answer_whose_connection_breaks_is_dropped(
    server: ChatServer, embedded: Make
) -> None:
    server.script(answer(TEXT, word_seconds=0.06, half_only=True), answer(TEXT, word_seconds=0.03))
    task = embedded().submit(agent("You tell"), "Tell", retry=2)
    reading = read(task.stream(timeout=20))
    assert [piece.attempt for piece in reading.pieces if piece.offset == 0] == [1, 2]
    assert reading.text == task.output == TEXT
    assert task.attempts == 2


def test_switched_off_models_are_not_asked_for_partial_text(
    server: ChatServer, embedded: Make
) -> None:
    server.script(answer(TEXT))
    settings = Settings(text_max_bytes=0, model="openai:any")
    task = embedded(settings=settings).submit(agent("You tell"), "Tell")
    assert [piece.text for piece in task.stream(timeout=20)] == [TEXT]
    assert not server.requests[0].body.get("stream")


def test_an_agent_that_a_callable_asks_does_not_write_into_its_text(
    server: ChatServer, embedded: Make
) -> None:
    def both(question: str) -> str:
        return "it said: " + str(agent("You tell")(question))

    server.script(answer(TEXT))
    task = embedded().submit(both, "Tell")
    assert [piece.text for piece in task.stream(timeout=20)] == [f"it said: {TEXT}"]
    assert not server.requests[0].body.get("stream")


def test_a_debate_streams_every_turn(server: ChatServer, embedded: Make) -> None:
    server.default = lambda request: (
        tool_call("final_result", winner="con", reasoning="Calmer.")
        if request.instructions == "You judge"
        else answer(f"{request.instructions}. {TEXT}", word_seconds=0.03)
    )
    reading = Reading()
    result = AgentPatterns.debate(
        "Tea or coffee", agent("You are for tea"), agent("You are for coffee"), agent("You judge"),
        rounds=2, orchestrator=embedded(), on_text=reading.take,
    )  # fmt: skip
    assert result.winner == "con"
    assert sorted(reading.texts.values()) == sorted(turn.text for turn in result.transcript)
    assert len(reading.texts) == 4
    assert len(reading.pieces) > 8


def test_hostile_text_arrives_as_it_is_and_harms_no_stream(
    server: ChatServer, embedded: Make
) -> None:
    hostile = "\x1b]0;owned\x07 \x00 \u202e <script>alert(1)</script> 1.1:7\n\n \r data: x " * 4
    server.script(answer(hostile, word_seconds=0.03))
    task = embedded().submit(agent("You tell"), "Tell")
    reading = read(task.stream(timeout=20))
    assert reading.text == task.output
    assert reading.text.split() == hostile.split()
    assert len(reading.pieces) > 1


@pytest.mark.parametrize("model", ["offline:0", "offline:", "offline:nan", "offline:fast"])
def test_a_pace_of_the_offline_model_that_is_none_is_refused(embedded: Make, model: str) -> None:
    task = embedded().submit(agent("You tell", model=model), "Tell")
    assert task.wait(20).status == "failed"
    assert "offline:20 says 20 words a second" in str(task.error)
