"""One model call: the prompt, which model answers, and what its answer must be.

Models are behind one small protocol; what implements it is found by the part
of the model's name before the colon. Knows no provider's library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

from pyagent_orch import tracing
from pyagent_orch.agents.contract import RUN, TEXT, RunState, TextSink
from pyagent_orch.agents.loop import from_thread
from pyagent_orch.agents.outputs import as_json
from pyagent_orch.agents.schema import problem_with
from pyagent_orch.agents.spec import Agent
from pyagent_orch.exceptions import ModelError, ModelRequestError
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue

OFFLINE = "offline"
"""The model that needs no network and no key."""
_ALREADY_THERE = 40
"""An output at least this long that stands in the prompt already is not shown again."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answered, and what that cost."""

    output: JSONValue
    usage: Usage


class ModelAdapter(Protocol):
    """What it takes to be a model.

    Always called on the process' one background loop, so that an implementation
    may keep clients in `background_loop().resources`.
    """

    async def __call__(self, model: str, agent: Agent, prompt: str) -> ModelAnswer:
        """Ask the model once, tool calls included.

        Where `TEXT` holds a sink, a text is written to it as it comes.

        Args:
            model: the whole name, `provider:model`.
            agent: instructions, tools, output schema, settings, limits.
            prompt: what to answer.

        Raises:
            RateLimitedError: the provider said 429.
            ModelError: another attempt may succeed.
            ModelRequestError: none will.
        """
        ...


_adapters: dict[str, ModelAdapter] = {}
_library: ModelAdapter | None = None
"""pydantic-ai's adapter, once it is imported."""


def register_model(provider: str, adapter: ModelAdapter) -> None:
    """Let an adapter answer for all models named `provider:...`, in this process.

    The last one registered wins. Providers that nobody registered are pydantic-ai's.
    """
    _adapters[provider] = adapter


async def ask(
    agent: Agent,
    value: JSONValue,
    *,
    default_model: str | None,
    context: Mapping[str, JSONValue],
    text: TextSink | None = None,
) -> JSONValue:
    """Ask an agent's model; what it cost is noted in the run.

    Args:
        agent: whom to ask.
        value: the input, text or JSON.
        default_model: the model of agents that name none; None is the offline model.
        context: maps the names of upstream tasks to their outputs.
        text: takes the answer as it comes, if it is a text.

    Raises:
        RateLimitedError: the provider said 429.
        ModelError: another attempt may succeed; also if the answer does not fit the schema.
        ModelRequestError: none will.
    """
    model = agent.model or default_model or OFFLINE
    adapter = _adapters.get(model.partition(":")[0]) or await _built_in(model, agent)
    # Set in any case: an agent that a tool of this call asks does not write into its answer.
    token = TEXT.set(text if agent.output_schema is None else None)
    try:
        with _call_span(adapter, model, agent) as made:
            answer = await adapter(model, agent, prompt_for(agent, value, context))
            if made is not None:
                made.set_attribute("gen_ai.usage.input_tokens", answer.usage.input_tokens)
                made.set_attribute("gen_ai.usage.output_tokens", answer.usage.output_tokens)
    finally:
        TEXT.reset(token)
    state: RunState | None = RUN.get()
    if state is not None:
        # Also when the answer is refused below: it was paid for.
        state.spent.append(lambda: answer.usage)
    output = as_json(answer.output, agent.name)
    is_text_instead = agent.text_instead and isinstance(output, str)
    if agent.output_schema is not None and not is_text_instead:
        problem = problem_with(output, agent.output_schema)
        if problem is not None:
            raise ModelError(agent.name, f"the answer of {model} does not fit: {problem}")
    return output


def _call_span(adapter: ModelAdapter, model: str, agent: Agent) -> AbstractContextManager[Any]:
    """A span around a model call, in OpenTelemetry's words; pydantic-ai makes its own."""
    if adapter is _library or not tracing.is_enabled():
        return nullcontext()
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model.partition(":")[0],
        "gen_ai.request.model": model,
        "gen_ai.agent.name": agent.name,
    }
    return tracing.span(f"chat {model}", "client", attributes)


async def _built_in(model: str, agent: Agent) -> ModelAdapter:
    if model == OFFLINE or model.startswith(f"{OFFLINE}:"):
        from pyagent_orch.agents import offline

        return offline.answer
    if _library is None:
        try:
            # In a thread: the import takes a second or two, and the loop serves other runs.
            await from_thread(_import_library)
        except ImportError:
            raise not_installed(model, agent.name) from None
    assert _library is not None
    return _library


def _import_library() -> None:
    global _library  # noqa: PLW0603 - imported once per process
    from pyagent_orch.agents import pydantic_ai_model

    _library = pydantic_ai_model.answer


def not_installed(model: str, agent: str) -> ModelRequestError:
    """The error for a model whose library is missing; names what to install."""
    provider = model.partition(":")[0].partition("-")[0]
    packages = (
        f"'pyagent-orch[{provider}]'"
        if provider in {"openai", "anthropic"}
        else f"'pyagent-orch[ai]' 'pydantic-ai-slim[{provider}]'"
    )
    return ModelRequestError(
        agent,
        f"model {model!r} needs a library that is not installed; run: pip install {packages}",
    )


def prompt_for(agent: Agent, value: JSONValue, context: Mapping[str, JSONValue]) -> str:
    """What the model is sent beside its instructions: upstream outputs, labelled, and the input.

    An output that the input quotes word for word is not sent, and paid for, twice.
    """
    text = as_text(value)
    if not agent.include_context or not context:
        return text
    blocks = []
    for name, output in context.items():
        shown = as_text(output)
        if len(shown) < _ALREADY_THERE or shown not in text:
            blocks.append(f"<output of={json.dumps(name, ensure_ascii=False)}>\n{shown}\n</output>")
    if not blocks:
        return text
    return "Outputs of the tasks before this one:\n" + "\n".join(blocks) + f"\n\n{text}"


def as_text(value: JSONValue) -> str:
    """Text as it is, anything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
