"""`Agent`: what a model is asked to be, as JSON; and `agent(...)`, which makes one.

The top of the room's values. Never holds a key or code; the model call itself
is `calls`' business and is imported when an agent is called.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Generic, overload

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import TypeVar

from pyagent_orch.agents.contract import AgentWire
from pyagent_orch.agents.local import local_key
from pyagent_orch.agents.registry import TOOLS
from pyagent_orch.agents.schema import self_contained
from pyagent_orch.exceptions import AgentError

OutputT = TypeVar("OutputT", default=str)

LOCAL_TOOL = "local:"
"""Begins the entry of a tool that only this process has."""
_NAME_LENGTH = 40
_ROLE = re.compile(r"^(you are|you're|act as|you act as|be)\s+((an?|the|our)\s+)?", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    r"api[-_]?key|authorization|secret|password|access[-_]?token", re.IGNORECASE
)


class AgentLimits(BaseModel):
    """How much one run of an agent may use; the run fails for good beyond it. Frozen, JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int | None = Field(default=None, ge=1)
    """Model requests, tool rounds included; None for the library's own bound (50)."""
    tokens: int | None = Field(default=None, ge=1)
    """Tokens in and out together; checked after each answer."""


class Agent(BaseModel, Generic[OutputT]):
    """A model with instructions. Frozen, JSON, safe to share between threads and processes.

    Called like a function it runs in place and returns text, or what `output_type`
    says; submitted as a task's agent it runs on a worker. API keys are never part
    of it: providers read them from the environment of the process that makes the call.
    """

    # Without the input in errors: it may be the secret that is refused.
    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    instructions: str = Field(min_length=1)
    """What the model is told to be and to do."""
    name: str = Field(default="", max_length=200)
    """For people; made from the instructions if empty."""
    model: str | None = None
    """`provider:model`, such as `openai:gpt-5`; None for the installation's, else offline."""
    tools: tuple[str, ...] = ()
    """Names of registered tools, or `module:function`."""
    output_schema: dict[str, JsonValue] | None = None
    """The JSON schema of the output, without references; None for text."""
    text_instead: bool = False
    """Whether plain text is taken from a model that gives nothing that fits `output_schema`."""
    model_settings: dict[str, JsonValue] = Field(default_factory=dict)
    """What the provider takes, such as `temperature`; never a key."""
    limits: AgentLimits = AgentLimits()
    timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Seconds for a whole call, tools included; the task's timeout holds as well."""
    include_context: bool = True
    """Whether the model is shown the outputs of the tasks that this one depends on."""

    _output_type: TypeAdapter[Any] | None = PrivateAttr(default=None)

    def __call__(self, input: object) -> OutputT:  # noqa: A002 - the public contract's word
        """Run in place and wait.

        Args:
            input: text, JSON, or a Task, whose output is taken once it has one.

        Returns:
            Text, or an instance of `output_type`.

        Raises:
            ModelError: the call failed, and another attempt may mend it.
            ModelRequestError: the call was refused for good, or is not possible here.
            TaskTimeoutError: `timeout_seconds` passed, or the deadline of the run this is part of.
        """
        from pyagent_orch.agents.in_place import call

        return self._shaped(call(self, input))

    async def acall(self, input: object) -> OutputT:  # noqa: A002 - the public contract's word
        """Run in place without blocking the event loop; as `__call__` otherwise."""
        from pyagent_orch.agents.in_place import acall

        return self._shaped(await acall(self, input))

    def _shaped(self, output: Any) -> OutputT:
        shaped: OutputT = (
            output if self._output_type is None else self._output_type.validate_python(output)
        )
        return shaped

    @cached_property
    def wire(self) -> AgentWire:
        """How this agent crosses the wire; made once."""
        # Without defaults: a worker of the release before knows nothing of a field added since.
        spec = self.model_dump(mode="json", exclude_defaults=True)
        return wire_of({"kind": "model", "spec": spec}, self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Agent) and self.wire.json == other.wire.json

    def __hash__(self) -> int:
        return hash(self.wire.json)

    @model_validator(mode="before")
    @classmethod
    def _known_fields_only(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        for field in values:
            if field not in cls.model_fields:
                near = get_close_matches(str(field), cls.model_fields, 1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ValueError(
                    f"unknown field {field!r}; {hint}known: {', '.join(cls.model_fields)}"
                )
        instructions = values.get("instructions")
        if not values.get("name") and isinstance(instructions, str):
            return {**values, "name": short_name(instructions)}
        return values

    @field_validator("instructions")
    @classmethod
    def _says_something(cls, instructions: str) -> str:
        if not instructions.strip():
            raise ValueError("instructions must say something")
        return instructions

    @field_validator("output_schema")
    @classmethod
    def _without_references(
        cls, schema: dict[str, JsonValue] | None
    ) -> dict[str, JsonValue] | None:
        return None if schema is None else self_contained(schema)

    @field_validator("model_settings")
    @classmethod
    def _without_secrets(cls, settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
        secret = _secret_field(settings)
        if secret is not None:
            raise ValueError(
                f"{secret!r} looks like a secret, and an agent is stored and sent; "
                "set it in the environment of the workers"
            )
        return settings


@overload
def agent(
    instructions: str,
    *,
    name: str | None = None,
    model: str | None = None,
    tools: Iterable[str | Callable[..., Any]] = (),
    output_type: None = None,
    output_schema: Mapping[str, Any] | None = None,
    model_settings: Mapping[str, Any] | None = None,
    limits: AgentLimits | Mapping[str, int] | None = None,
    timeout_seconds: float | None = None,
    include_context: bool = True,
) -> Agent[str]: ...
@overload
def agent(
    instructions: str,
    *,
    name: str | None = None,
    model: str | None = None,
    tools: Iterable[str | Callable[..., Any]] = (),
    output_type: type[OutputT],
    output_schema: None = None,
    model_settings: Mapping[str, Any] | None = None,
    limits: AgentLimits | Mapping[str, int] | None = None,
    timeout_seconds: float | None = None,
    include_context: bool = True,
) -> Agent[OutputT]: ...
def agent(
    instructions: str,
    *,
    name: str | None = None,
    model: str | None = None,
    tools: Iterable[str | Callable[..., Any]] = (),
    output_type: Any = None,
    output_schema: Mapping[str, Any] | None = None,
    model_settings: Mapping[str, Any] | None = None,
    limits: AgentLimits | Mapping[str, int] | None = None,
    timeout_seconds: float | None = None,
    include_context: bool = True,
) -> Agent[Any]:
    """Make an agent: a model with instructions.

    Args:
        instructions: what the model is told to be and to do.
        name: for people; by default made from the instructions.
        model: `provider:model`; by default `PYAGENT_ORCH_MODEL` of the process
            that runs it, else the offline model.
        tools: names of registered tools, or functions; a module-level function is
            registered by its name, any other one works in this process only.
        output_type: a pydantic model, a dataclass or any type that pydantic can
            check; the answer is an instance of it.
        output_schema: a JSON schema instead; the answer is JSON that fits it.
        model_settings: what the provider takes, such as `{"temperature": 0}`.
        limits: at most so many `requests` and `tokens` for a run.
        timeout_seconds: seconds for a whole call, > 0.
        include_context: whether the model is shown what upstream tasks gave.

    Raises:
        AgentError: a field does not fit; names it.
        ConfigurationError: a tool's name belongs to another function.
    """
    label = name or (short_name(instructions) if isinstance(instructions, str) else "agent")
    if output_type is not None and output_schema is not None:
        raise AgentError(label, "give output_type or output_schema, not both")
    adapter: TypeAdapter[Any] | None = None
    if output_type is not None and output_type is not str:
        adapter = TypeAdapter(output_type)
        output_schema = adapter.json_schema()
    try:
        made: Agent[Any] = Agent(
            instructions=instructions,
            name=name or "",
            model=model,
            tools=tuple(_tool_entry(tool) for tool in tools),
            output_schema=None if output_schema is None else dict(output_schema),
            model_settings=dict(model_settings or {}),
            limits=AgentLimits.model_validate(limits or {}),
            timeout_seconds=timeout_seconds,
            include_context=include_context,
        )
    except ValidationError as error:
        raise AgentError(label, plain_problem(error)) from None
    made._output_type = adapter  # noqa: SLF001 - its own factory
    return made


def plain_problem(error: ValidationError) -> str:
    """The first problem of a validation, without the values, which may be secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def wire_of(content: Mapping[str, object], name: str) -> AgentWire:
    """The wire form of some content: canonical JSON and its hash."""
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return AgentWire(json=text, hash=digest, name=name)


def short_name(instructions: str) -> str:
    """A name for people from the first words of instructions: at most 40 characters."""
    lines = instructions.strip().splitlines()
    first = re.split(r"(?<=[.!?;:])\s", lines[0], maxsplit=1)[0] if lines else ""
    bare = _ROLE.sub("", first).strip(" .!?;:,") or first
    if len(bare) > _NAME_LENGTH:
        bare = bare[: _NAME_LENGTH - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"
    return bare or "agent"


def _tool_entry(tool: str | Callable[..., Any]) -> str:
    if isinstance(tool, str):
        return tool
    registered = TOOLS.name_of(tool)
    if registered is not None:
        return registered
    qualname = getattr(tool, "__qualname__", "<object>")
    if qualname.isidentifier():
        TOOLS.add(tool, qualname)
        return qualname
    return LOCAL_TOOL + local_key(tool)


def _secret_field(value: object) -> str | None:
    """The first key, at any depth, that looks like one of a secret."""
    if isinstance(value, dict):
        for key, part in value.items():
            if _SECRET_FIELD.search(key):
                return str(key)
            found = _secret_field(part)
            if found is not None:
                return found
    elif isinstance(value, list):
        for part in value:
            found = _secret_field(part)
            if found is not None:
                return found
    return None
