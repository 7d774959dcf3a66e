"""A workflow as a YAML document, with agents by name.

Checked by pydantic; an error names the line. PyYAML comes with the extra `[cli]`
and is imported when a document is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pyagent_orch.agents import agent
from pyagent_orch.exceptions import ConfigurationError, InvalidWorkflowError
from pyagent_orch.models.retry import RetryPolicy
from pyagent_orch.models.tasks import Task
from pyagent_orch.states import ExecutionPattern
from pyagent_orch.workflows.workflow import DEFAULT_MAX_ROUNDS, Workflow


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_listed)]


class Condition(BaseModel):
    """When a task runs: an output, or a part of it, is or is not something."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    output: str
    """The task whose output it is."""
    path: list[str | int] = []
    """Keys into the output."""
    equals: Any = Field(default=None, alias="is")
    not_equals: Any = Field(default=None, alias="is_not")

    @model_validator(mode="after")
    def _one_of_both(self) -> Condition:
        given = self.model_fields_set & {"equals", "not_equals"}
        if len(given) != 1:
            raise ValueError("give either `is` or `is_not`")
        return self


class TaskDocument(BaseModel):
    """One task; the fields are those of `Task`."""

    model_config = ConfigDict(extra="forbid")

    name: str
    agent: str | None = None
    """The name of a registered agent; or give `instructions` for a model."""
    instructions: str | None = None
    model: str | None = None
    workflow: WorkflowDocument | None = None
    """A sub-workflow in the place of an agent."""
    input: Any = None
    after: Names = []
    """The tasks that it waits for."""
    id: str | None = None
    priority: int = Field(default=5, ge=1, le=10)
    metadata: dict[str, Any] = {}
    timeout: float | None = Field(default=None, gt=0)
    retry: RetryPolicy | int | None = None
    queue: str | None = None
    delay: float = Field(default=0.0, ge=0)
    when: Condition | None = None
    map: str | None = None
    need: int | Literal["settled"] | None = None
    cancel_rest: bool = False
    on_failure: Names = []
    context: bool = True

    @model_validator(mode="after")
    def _who_does_it(self) -> TaskDocument:
        given = [one for one in (self.agent, self.instructions, self.workflow) if one is not None]
        if len(given) != 1:
            raise ValueError("give one of `agent`, `instructions` and `workflow`")
        if self.model is not None and self.instructions is None:
            raise ValueError("`model` goes with `instructions`")
        return self


class WorkflowDocument(BaseModel):
    """A whole document; the fields are those of `Workflow`."""

    model_config = ConfigDict(extra="forbid")

    name: str
    tasks: list[TaskDocument] = Field(min_length=1)
    id: str | None = None
    pattern: ExecutionPattern | None = None
    deadline: float | None = Field(default=None, gt=0)
    metadata: dict[str, Any] = {}
    max_rounds: int = Field(default=DEFAULT_MAX_ROUNDS, ge=1)

    def build(self) -> Workflow:
        """The workflow that the document describes."""
        tasks: dict[str, Task] = {}
        for one in self.tasks:
            tasks[one.name] = _build_task(one, lambda name: tasks[name])
        # A condition may speak of a task that is listed later.
        return Workflow(
            self.name,
            [tasks[one.name] for one in self.tasks],
            {one.name: one.after for one in self.tasks if one.after},
            id=self.id,
            pattern=self.pattern,
            deadline=self.deadline,
            metadata=self.metadata,
            max_rounds=self.max_rounds,
        )


def load_workflow(source: str | Path) -> Workflow:
    """Read a workflow from YAML.

    Args:
        source: a path, or the text itself when it has several lines.

    Raises:
        InvalidWorkflowError: it is no YAML, or no workflow; the text names file, line and field.
        ConfigurationError: there is no such file, or PyYAML is not installed.
    """
    if isinstance(source, Path) or "\n" not in source:
        path = Path(source)
        try:
            text, label = path.read_text("utf-8"), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(str(path), f"it cannot be read: {error}") from None
    else:
        text, label = source, "<text>"
    content, line_of = _parse(text, label)
    try:
        document = WorkflowDocument.model_validate(content)
    except ValidationError as error:
        problems = [
            f"line {line_of(one['loc'])}: {_place(one['loc'])}{_message(one['msg'])}"
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidWorkflowError(label, "; ".join(problems)) from None
    names = [one.name for one in document.tasks]
    for place, name in enumerate(names):
        if name in names[:place]:
            line = line_of(("tasks", place, "name"))
            raise InvalidWorkflowError(label, f"line {line}: two tasks are named {name!r}")
    return document.build()


def _build_task(one: TaskDocument, find: Callable[[str], Task]) -> Task:
    doer: object = one.agent
    if one.instructions is not None:
        doer = agent(one.instructions, model=one.model)
    elif one.workflow is not None:
        doer = one.workflow.build()
    return Task(
        doer,
        one.input,
        id=one.id,
        name=one.name,
        priority=one.priority,
        metadata=one.metadata,
        timeout=one.timeout,
        retry=one.retry,
        queue=one.queue,
        delay=one.delay,
        when=_when(one.when, find) if one.when is not None else None,
        map=one.map,
        need=one.need,
        cancel_rest=one.cancel_rest,
        on_failure=one.on_failure,
        context=one.context,
    )


def _when(condition: Condition, find: Callable[[str], Task]) -> Callable[[], object]:
    def holds() -> object:
        output = find(condition.output).output
        for key in condition.path:
            output = output[key]
        if "equals" in condition.model_fields_set:
            return output == condition.equals
        return output != condition.not_equals

    return holds


def _parse(text: str, label: str) -> tuple[Any, Callable[[Sequence[str | int]], int]]:
    """The content, and a function that finds the line (from 1) of a place in it."""
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(
            label, "reading YAML needs PyYAML: pip install 'pyagent-orch[cli]'"
        ) from None
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or str(error)
        raise InvalidWorkflowError(label, f"line {line}: it is no YAML: {problem}") from None
    if not isinstance(content, Mapping):
        raise InvalidWorkflowError(label, "line 1: a workflow is a mapping with `name` and `tasks`")

    def line_of(place: Sequence[str | int]) -> int:
        node = root
        for key in place:
            found = None
            if isinstance(node, yaml.MappingNode):
                found = next((value for name, value in node.value if name.value == str(key)), None)
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int):
                found = node.value[key] if key < len(node.value) else None
            if found is None:
                break
            node = found
        return int(node.start_mark.line) + 1

    return content, line_of


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")


def _place(place: Sequence[str | int]) -> str:
    text = ".".join(str(key) for key in place)
    return f"{text}: " if text else ""
