"""Model calls by pydantic-ai: every provider it knows, behind this room's protocol.

Imported on the first call of a model that is not the offline one. Runs on the
process' one background loop, where its clients and their connections live.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import AsyncIterable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import pydantic_ai
from pydantic_ai.capabilities import AbstractCapability, Instrumentation
from pydantic_ai.messages import (
    AgentStreamEvent,
    ModelMessage,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)
from pydantic_ai.models import Model, infer_model
from pydantic_ai.models.instrumented import InstrumentationSettings
from pydantic_ai.providers import Provider, infer_provider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage, UsageLimits

from pyagent_orch import tracing
from pyagent_orch.agents.calls import ModelAnswer, not_installed
from pyagent_orch.agents.contract import RUN, TEXT, TextSink
from pyagent_orch.agents.functions import Function, readable_name
from pyagent_orch.agents.local import local_function
from pyagent_orch.agents.loop import background_loop, from_thread
from pyagent_orch.agents.provider_errors import BUILD_ERRORS, RUN_ERRORS, meaning_of
from pyagent_orch.agents.registry import TOOLS, find_tool
from pyagent_orch.agents.schema import as_object, problem_with
from pyagent_orch.agents.spec import LOCAL_TOOL, Agent
from pyagent_orch.exceptions import AgentError
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue

_KEPT = 256
"""How many agents are kept built; building one costs about as much as a fast answer."""
_ENVIRONMENT = ("_API_KEY", "_BASE_URL", "_TOKEN", "_ENDPOINT", "_API_BASE", "_HOST")
_OUTPUT_RETRIES = 2
"""How often the model may correct an answer that does not fit, within one run."""


async def answer(model: str, agent: Agent, prompt: str) -> ModelAnswer:
    """Ask a provider's model; a `ModelAdapter`."""
    failure: AgentError | None = None
    try:
        runner = _built(model, agent)
    except ImportError:
        failure = not_installed(model, agent.name)
    except BUILD_ERRORS as error:
        failure = meaning_of(error, agent.name, model)
    else:
        limits = UsageLimits(
            request_limit=agent.limits.requests or UsageLimits().request_limit,
            total_tokens_limit=agent.limits.tokens,
        )
        used = RunUsage()
        state = RUN.get()
        meter = functools.partial(_usage, model, used)
        if state is not None:
            # From now on, so that a call that fails or is stopped is paid for, too.
            state.spent.append(meter)
        sink = TEXT.get()
        try:
            # The messages of this run, not of what its tools ask.
            with pydantic_ai.capture_run_messages() as messages:
                result = await runner.run(
                    prompt,
                    usage_limits=limits,
                    usage=used,
                    event_stream_handler=None if sink is None else functools.partial(_show, sink),
                )
        except RUN_ERRORS as error:
            output: JSONValue = _text_instead(agent, error, messages)
            failure = None if output else meaning_of(error, agent.name, model)
        else:
            output = result.output
            if agent.output_schema is not None and as_object(agent.output_schema)[1]:
                output = result.output["result"]
        if failure is None:
            if state is not None:
                state.spent.remove(meter)
            return ModelAnswer(output, _usage(model, used))
    # Outside the handlers: the provider's error may hold what must not be recorded, and Python
    # would chain it to ours.
    raise failure


def _text_instead(agent: Agent, error: Exception, messages: Sequence[ModelMessage]) -> str:
    """What a model said last in plain text alone, where that is taken; empty otherwise."""
    if not agent.text_instead or not isinstance(error, pydantic_ai.UnexpectedModelBehavior):
        return ""
    answers = [one for one in messages if isinstance(one, ModelResponse)]
    return "" if not answers or answers[-1].tool_calls else answers[-1].text or ""


async def _show(sink: TextSink, _: object, events: AsyncIterable[AgentStreamEvent]) -> None:
    """Write the text of one answer of the model as it comes; called for each of a run."""
    begun = False
    async for event in events:
        if isinstance(event, PartStartEvent) and isinstance(event.part, TextPart):
            text = event.part.content
        elif isinstance(event, PartDeltaEvent) and isinstance(event.delta, TextPartDelta):
            text = event.delta.content_delta
        else:
            continue
        if text and not begun:
            begun = True
            # What it said before it used its tools, or was asked to correct itself.
            sink.start_over()
        if text:
            sink.write(text)


def _built(model: str, agent: Agent) -> pydantic_ai.Agent[None, Any]:
    """The library's agent for ours, kept while clients and specs stay the same."""
    cache: dict[object, pydantic_ai.Agent[None, Any]]
    cache = background_loop().resources.setdefault("pydantic-ai agents", {})
    functions = tuple(_tool(name, agent.name) for name in agent.tools)
    key = (model, agent.wire.json, _environment(), tuple(id(f.call) for _, f in functions))
    runner = cache.get(key)
    if runner is None:
        if len(cache) >= _KEPT:
            del cache[next(iter(cache))]
        runner = cache[key] = _build(model, agent, functions)
    return runner


def _build(
    model: str, agent: Agent, functions: tuple[tuple[str, Function], ...]
) -> pydantic_ai.Agent[None, Any]:
    output_type: Any = str
    if agent.output_schema is not None:
        schema, _ = as_object(agent.output_schema)
        output_type = pydantic_ai.StructuredDict(
            schema, name=str(schema.get("title") or "answer"), description=None
        )
    settings: dict[str, Any] = dict(agent.model_settings)
    runner: pydantic_ai.Agent[None, Any] = pydantic_ai.Agent(
        _model(model),
        # As the keyword: elsewhere the library reads `{{` as the begin of a template.
        instructions=agent.instructions,
        name="".join(c if c.isalnum() else "_" for c in agent.name),
        output_type=output_type,
        model_settings=ModelSettings(**settings),  # type: ignore[typeddict-item]  # the user's
        tools=[
            pydantic_ai.Tool(_awaitable(f), name=name, takes_ctx=False) for name, f in functions
        ],
        retries=_OUTPUT_RETRIES,
        capabilities=_instrumentation(),
    )
    if agent.output_schema is not None:
        # The library only shows the schema to the model; what comes back is checked here.
        @runner.output_validator
        def fits(output: Any) -> Any:
            problem = problem_with(output, schema)
            if problem is not None:
                raise pydantic_ai.ModelRetry(problem)
            return output

    return runner


def _instrumentation() -> list[AbstractCapability[None]]:
    """The library's own spans, without what was said, when this process makes spans."""
    if not tracing.is_enabled():
        return []
    settings = InstrumentationSettings(include_content=False, include_binary_content=False)
    return [Instrumentation(settings)]


def _model(model: str) -> Model:
    provider, _, rest = model.partition(":")
    if provider == "openai" and _speaks_only_chat():
        # pydantic-ai's `openai:` is the Responses API, which few compatible servers have.
        model = f"openai-chat:{rest}"
    return infer_model(model, provider_factory=_provider)


def _speaks_only_chat() -> bool:
    host = urlsplit(os.environ.get("OPENAI_BASE_URL") or "").hostname
    return host is not None and not host.endswith("openai.com")


def _provider(name: str) -> Provider[Any]:
    """The provider of this loop: one HTTP client for all its models."""
    cache: dict[object, Provider[Any]]
    cache = background_loop().resources.setdefault("pydantic-ai providers", {})
    key = (name, _environment())
    provider = cache.get(key)
    if provider is None:
        # Never dropped: a client that is in use must not be closed, and keys change rarely.
        provider = cache[key] = infer_provider(name)
        # The task's policy retries, and obeys Retry-After; a second layer below multiplies both.
        if isinstance(getattr(provider.client, "max_retries", None), int):
            provider.client.max_retries = 0
    return provider


def _environment() -> str:
    """A digest of what providers read from the environment, so that a new key is used at once."""
    relevant = sorted(item for item in os.environ.items() if item[0].endswith(_ENVIRONMENT))
    return hashlib.sha256(repr(relevant).encode()).hexdigest()


def _tool(entry: str, agent: str) -> tuple[str, Function]:
    if entry.startswith(LOCAL_TOOL):
        function = local_function(entry.removeprefix(LOCAL_TOOL))
        return readable_name(function.call), function
    found = find_tool(entry)
    if found is None:
        known = ", ".join(TOOLS.names()) or "none"
        raise AgentError(
            agent,
            f"needs the tool {entry!r}, which this process does not have (known: {known}); "
            "register it with @register_tool in a module that PYAGENT_ORCH_AGENTS names",
        )
    return entry.rpartition(":")[2], found


def _awaitable(function: Function) -> Callable[..., Any]:
    """A tool that can be awaited and cancelled; a blocking one runs in a daemon thread.

    Not the library's own threads: those are 40 for all runs, and hold up a cancel.
    """
    if function.is_async:
        return function.call

    @functools.wraps(function.call)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return await from_thread(functools.partial(function.call, *args, **kwargs))

    return call


def _usage(model: str, used: RunUsage) -> Usage:
    cost = getattr(used, "cost", None)
    return Usage(
        model=model,
        requests=used.requests,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cost_usd=None if cost is None else float(cost),
    )
