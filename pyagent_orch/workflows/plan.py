"""The plan of a workflow: every task with whom it waits for and what it is given.

Pure but for calling the user's input functions. Sub-workflows are laid flat,
execution patterns become edges and flows; what comes out is what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pyagent_orch.agents.functions import path_of
from pyagent_orch.exceptions import DuplicateTaskError, InputError, InvalidWorkflowError
from pyagent_orch.graph import Graph, build_graph
from pyagent_orch.inputs import CompiledInput, both, compile_condition, compile_input
from pyagent_orch.models.tasks import Task
from pyagent_orch.states import ExecutionPattern
from pyagent_orch.workflows.checks import check_in_workflow
from pyagent_orch.workflows.flows import Flow, as_flow
from pyagent_orch.workflows.workflow import Workflow

NOTHING = CompiledInput('{"v":null}')
PathOf = Callable[[str, Callable[..., Any]], str]
"""Takes a task's name and a function; gives what a worker finds the function by."""


@dataclass(frozen=True)
class PlannedTask:
    """One task of a plan. Ids throughout."""

    task: Task
    name: str
    """Its name in the whole: that of a sub-workflow's task begins with its own."""
    agent: object
    """The user's agent, or a `Flow`."""
    input: CompiledInput
    when: CompiledInput | None = None
    parents: tuple[str, ...] = ()
    """Whose completion it waits for, and whose outputs it sees; of a sub-workflow's first tasks
    also what the sub-workflow waits for."""
    rescues: tuple[str, ...] = ()
    """It runs only if one of these fails."""
    afters: tuple[str, ...] = ()
    """It only comes after these, however they end."""
    need: str = ""
    """Empty: all parents; a number of them; `settled`: all final, in whichever state."""
    cancel_rest: bool = False
    """With a number: whether the parents that are not needed any more are cancelled."""
    inside: str = ""
    """The id of the sub-workflow that it is part of."""


@dataclass(frozen=True)
class Plan:
    """A workflow, ready to be recorded."""

    workflow: Workflow
    tasks: tuple[PlannedTask, ...]
    graph: Graph
    """Who waits for whom, of all tasks, the laid-flat ones too."""
    results: tuple[str, ...]
    """Whose outputs are the workflow's."""


def plan_workflow(workflow: Workflow, path_for: PathOf | None = None) -> Plan:
    """Check a workflow and plan it.

    Args:
        workflow: what the user built.
        path_for: finds the path of a function of the outputs, or refuses it; when not
            given any function is taken, for drawings.

    Raises:
        InvalidWorkflowError: a cycle, an unknown or doubled name, no tasks, a task that is in
            another workflow.
        InputError: an input or a condition that cannot travel.
    """
    planner = _Planner(path_for or (lambda _, function: path_of(function)))
    planner.results = planner.add(workflow)
    graph = _whole_graph(workflow, planner.planned)
    return Plan(workflow, tuple(planner.planned), graph, planner.results)


def _whole_graph(workflow: Workflow, planned: Iterable[PlannedTask]) -> Graph:
    planned = list(planned)
    return build_graph(
        workflow.name,
        [(one.task.id, one.name) for one in planned],
        {one.task.id: (*one.parents, *one.rescues, *one.afters) for one in planned},
    )


@dataclass
class _Planner:
    path_for: PathOf
    planned: list[PlannedTask] = field(default_factory=list)
    results: tuple[str, ...] = ()
    _seen: dict[int, str] = field(default_factory=dict)

    def add(self, workflow: Workflow, outer: PlannedTask | None = None) -> tuple[str, ...]:
        """Plan one level; returns the ids of the tasks whose outputs are its own.

        Args:
            workflow: the level.
            outer: the task of the level above that it is; its first tasks start when that could.
        """
        prefix = f"{outer.name}/" if outer else ""
        tasks = workflow.tasks
        for task in tasks:
            self._claim(task, workflow)
        _tell_apart(workflow)
        names = _directory(tasks)
        # A template may go by the id that the task has in the workflow that this is a copy of.
        known = {**workflow.aliases, **names}
        inputs = {task.id: self._input(task, known, workflow) for task in tasks}
        conditions = {task.id: self._condition(task, known, workflow) for task in tasks}
        traced = {
            task.id: [
                *inputs[task.id].references,
                *(condition.references if (condition := conditions[task.id]) else ()),
                *([task.map] if task.map else ()),
            ]
            for task in tasks
        }
        rescues = {task.id: task.on_failure for task in tasks if task.on_failure}
        dependencies = _together(workflow.dependencies, traced)
        # One graph with both kinds of edges finds circles through either.
        whole = build_graph(
            workflow.name,
            [(task.id, task.name) for task in tasks],
            _together(dependencies, rescues),
        )
        rescued = {
            task_id: tuple(_find(names, workflow, name) for name in on)
            for task_id, on in rescues.items()
        }
        level: list[PlannedTask] = []
        for task in tasks:
            parents = tuple(p for p in whole.parents[task.id] if p not in rescued.get(task.id, ()))
            level.append(
                PlannedTask(
                    task,
                    prefix + task.name,
                    self._agent(task, inputs[task.id], names),
                    # A map fills its input in for each item.
                    inputs[task.id] if task.map is None else NOTHING,
                    conditions[task.id],
                    parents,
                    rescued.get(task.id, ()),
                    need=_need(task, len(parents), workflow),
                    cancel_rest=task.cancel_rest and task.map is None,
                    inside=outer.task.id if outer else "",
                )
            )
        return self._flatten(_by_pattern(workflow, level, whole), outer)

    def _claim(self, task: object, workflow: Workflow) -> None:
        if not isinstance(task, Task):
            raise InvalidWorkflowError(
                workflow.name, f"its tasks are Task objects, not {type(task).__name__}"
            )
        if task.is_live:
            raise InvalidWorkflowError(
                workflow.name,
                f"its task {task.name!r} has been submitted already; a task is in one workflow "
                "only, so build a new Task",
            )
        check_in_workflow(task, workflow.name)
        other = self._seen.setdefault(id(task), workflow.name)
        if other != workflow.name:
            raise InvalidWorkflowError(
                workflow.name, f"its task {task.name!r} is in workflow {other!r} too"
            )

    def _input(self, task: Task, names: Mapping[str, str], workflow: Workflow) -> CompiledInput:
        def path_for(function: Callable[..., Any]) -> str:
            if task.map is not None:
                raise InputError(
                    task.name,
                    "the input of a map cannot be a function of the outputs; write a text, a list "
                    "or a dict, or a lambda that gives one, in whose texts {item} is the item",
                )
            return self.path_for(task.name, function)

        return compile_input(
            task.name, task.input, names, resolve_path=path_for, aliases=workflow.aliases
        )

    @staticmethod
    def _agent(task: Task, given: CompiledInput, names: Mapping[str, str]) -> object:
        if task.map is None:
            return as_flow(task.agent)
        spec: dict[str, Any] = {"source": names.get(task.map), "input": given.json}
        if task.need is not None:
            spec |= {"need": task.need, "cancel_rest": task.cancel_rest}
        return Flow("map", spec, {"agent": task.agent})

    def _condition(
        self, task: Task, names: Mapping[str, str], workflow: Workflow
    ) -> CompiledInput | None:
        if task.when is None:
            return None
        return compile_condition(
            task.name,
            task.when,
            names,
            resolve_path=lambda function: self.path_for(task.name, function),
            aliases=workflow.aliases,
        )

    def _flatten(self, level: list[PlannedTask], outer: PlannedTask | None) -> tuple[str, ...]:
        """Put a level into the whole, its sub-workflows laid flat in their places."""
        waited = {parent for one in level for parent in (*one.parents, *one.rescues)}
        for one in level:
            planned = one
            if outer is not None and not one.parents and not one.rescues:
                # It starts when the sub-workflow could.
                planned = replace(
                    one, parents=outer.parents, rescues=outer.rescues, need=outer.need,
                    afters=(*one.afters, *outer.afters), cancel_rest=outer.cancel_rest,
                    when=both(outer.when, one.when),
                )  # fmt: skip
            if isinstance(one.agent, Workflow):
                last = self.add(one.agent, planned)
                names = {sub.id: sub.name for sub in one.agent.tasks}
                spec = {"names": {sub: names.get(sub, sub) for sub in last}}
                # The task itself becomes the end of its sub-workflow.
                planned = PlannedTask(
                    one.task, one.name, Flow("gather", spec), NOTHING, parents=last,
                    inside=one.inside,
                )  # fmt: skip
            self.planned.append(planned)
        return tuple(one.task.id for one in level if one.task.id not in waited) or tuple(
            one.task.id for one in level[-1:]
        )


def _tell_apart(workflow: Workflow) -> None:
    """Number the names that tasks have from their agents; the user's own must differ."""
    tasks = list({id(task): task for task in workflow.tasks}.values())
    used: set[str] = set()
    for task in tasks:
        if task.has_own_name and task.name in used:
            raise DuplicateTaskError(
                workflow.name, f"two of its tasks are named {task.name!r}; give each its own name"
            )
        if task.has_own_name:
            used.add(task.name)
    for task in tasks:
        if not task.has_own_name:
            name, number = task.name, 2
            while task.name in used:
                task.name, number = f"{name} {number}", number + 1
            used.add(task.name)


def _directory(tasks: Iterable[Task]) -> dict[str, str]:
    """Maps the ids and names of tasks to their ids; an id wins over a name."""
    names: dict[str, str] = {}
    for task in tasks:
        names.setdefault(task.name, task.id)
    return names | {task.id: task.id for task in tasks}


def _find(names: Mapping[str, str], workflow: Workflow, name: str) -> str:
    found = names.get(name)
    if found is None:  # pragma: no cover - the graph has refused it before
        raise InvalidWorkflowError(workflow.name, f"it has no task {name!r}")
    return found


def _together(
    first: Mapping[str, Iterable[str]], second: Mapping[str, Iterable[str]]
) -> dict[str, list[str]]:
    both: dict[str, list[str]] = {task: list(on) for task, on in first.items()}
    for task, on in second.items():
        both.setdefault(task, []).extend(on)
    return both


def _need(task: Task, parents: int, workflow: Workflow) -> str:
    if task.on_failure:
        if parents:
            raise InvalidWorkflowError(
                workflow.name,
                f"task {task.name!r} runs on failure and has dependencies too; it sees the error "
                "as context, so drop its dependencies",
            )
        return "1"
    if task.need is None or task.map is not None:
        return ""
    if isinstance(task.need, str):
        return task.need
    if task.need > parents:
        raise InvalidWorkflowError(
            workflow.name, f"task {task.name!r} needs {task.need} of {parents} dependencies"
        )
    return str(task.need)


def _by_pattern(workflow: Workflow, level: list[PlannedTask], graph: Graph) -> list[PlannedTask]:
    """Lay an execution pattern over the tasks of a workflow."""
    if workflow.pattern is ExecutionPattern.SEQUENTIAL:
        order = graph.order()
        before = dict(zip(order[1:], order, strict=False))
        return [
            replace(one, afters=(before[one.task.id],)) if one.task.id in before else one
            for one in level
        ]
    if workflow.pattern is ExecutionPattern.SUPERVISOR:
        from pyagent_orch.workflows.loops import lay_supervisor

        return lay_supervisor(workflow, level)
    if workflow.pattern is ExecutionPattern.COLLABORATIVE:
        from pyagent_orch.workflows.loops import lay_collaboration

        return lay_collaboration(workflow, level, graph)
    return level
