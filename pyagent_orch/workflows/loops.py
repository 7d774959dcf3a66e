"""The execution patterns that are loops: SUPERVISOR and COLLABORATIVE.

Both are bounded and recorded turn by turn: see `flows`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

from pyagent_orch.agents import Agent
from pyagent_orch.exceptions import AgentError, InvalidWorkflowError
from pyagent_orch.graph import Graph
from pyagent_orch.inputs import CompiledInput, references_of, render_input
from pyagent_orch.models.tasks import Task
from pyagent_orch.models.values import JSONValue, to_json
from pyagent_orch.workflows.flows import STEPS, Done, Expand, Flow, FlowCall, Turn
from pyagent_orch.workflows.plan import NOTHING, PlannedTask
from pyagent_orch.workflows.workflow import Workflow

REVIEW_SCHEMA: dict[str, Any] = {
    "title": "Review",
    "type": "object",
    "properties": {
        "final": {"type": "string", "description": "The final answer, complete in itself."},
        "send_back": {
            "type": "array",
            "description": "Work that must be done again; empty if the answer is final.",
            "items": {
                "type": "object",
                "properties": {
                    "task": {"type": "string", "description": "The name of the task."},
                    "feedback": {"type": "string", "description": "What to change."},
                },
                "required": ["task", "feedback"],
            },
            "maxItems": 20,
        },
    },
    "required": ["final"],
}
"""What a supervising model is asked to answer."""


def _text(value: JSONValue) -> str:
    return value if isinstance(value, str) else to_json(value)


# --- SUPERVISOR -----------------------------------------------------------------------


def lay_supervisor(workflow: Workflow, level: list[PlannedTask]) -> list[PlannedTask]:
    """The first task's agent waits for all others, reviews them, and gives the final output.

    Where others wait for the first task, it answers them first, and a last task holds the
    review.
    """
    first, others = level[0], level[1:]
    if not others:
        raise InvalidWorkflowError(
            workflow.name, "SUPERVISOR needs the supervisor's task and at least one other"
        )
    if isinstance(first.agent, Workflow | Flow):
        raise InvalidWorkflowError(
            workflow.name,
            f"its first task {first.task.name!r} supervises, so it needs an agent of its own",
        )
    # A map or a sub-workflow is not done again, nor what only a function can give an input.
    plain = {
        one.task.name: one
        for one in others
        if not isinstance(one.agent, Workflow | Flow) and references_of(one.input.json) is not None
    }
    spec = {
        "max_rounds": workflow.max_rounds,
        "work": {name: one.input.json for name, one in plain.items()},
        "names": {one.task.id: one.task.name for one in level},
    }
    agents = {name: one.agent for name, one in plain.items()}
    flow = Flow("supervise", spec, {"": reviewing(first.agent), **agents})
    if any(first.task.id in (*one.parents, *one.rescues) for one in others):
        # The others wait for its answer: it gives one, and reviews in a task of its own.
        review = _added(workflow, level, "review", flow)
        return [*level, replace(review, input=first.input, need="settled")]
    parents = tuple(one.task.id for one in others)
    return [*others, replace(first, agent=flow, parents=parents, need="settled")]


def _added(workflow: Workflow, level: list[PlannedTask], what: str, flow: Flow) -> PlannedTask:
    """A task that the pattern adds at the end; its output is the workflow's."""
    task = Task(id=f"{workflow.id}.{what}", name=f"{workflow.name}: {what}")
    first = level[0]
    name = first.name.removesuffix(first.task.name) + task.name
    parents = tuple(one.task.id for one in level)
    return PlannedTask(task, name, flow, NOTHING, parents=parents, inside=first.inside)


def reviewing(agent: object) -> object:
    """A model agent that answers by `REVIEW_SCHEMA`; anything else as it is."""
    if isinstance(agent, Agent) and agent.output_schema is None:
        return agent.model_copy(update={"output_schema": REVIEW_SCHEMA})
    return agent


def _supervise(call: FlowCall) -> Expand | Done:
    state = call.state or {"round": 0, "asked": "", "answers": {}}
    answers: dict[str, JSONValue] = dict(state["answers"])
    if state["asked"] == "review":
        review = read_review(call.outcomes[f"{call.name} review {state['round']}"].output)
        known = {
            name: feedback for name, feedback in review["send_back"] if name in call.spec["work"]
        }
        if not known or state["round"] > call.spec["max_rounds"]:
            return Done(review["final"])
        turns = tuple(
            Turn(
                f"{name} again {state['round']}",
                name,
                _redo(_given(call, name, answers), answers.get(name), feedback),
                metadata={"redoes": name},
            )
            for name, feedback in known.items()
        )
        return Expand(
            turns,
            {**state, "asked": "work", "redo": list(known), "answers": answers},
            need="settled",
        )
    if state["asked"] == "work":
        for name in state["redo"]:
            outcome = call.outcomes.get(f"{name} again {state['round']}")
            if outcome is not None and outcome.completed:
                answers[name] = outcome.output
    else:
        answers = {
            name: one.output if one.completed else f"({one.status})"
            for name, one in call.outcomes.items()
        }
    number = state["round"] + 1
    request = _review_request(call.input, answers, last=number > call.spec["max_rounds"])
    return Expand(
        (Turn(f"{call.name} review {number}", "", request),),
        {"round": number, "asked": "review", "answers": answers},
    )


def _given(call: FlowCall, name: str, answers: Mapping[str, JSONValue]) -> JSONValue:
    """The input of a task that is done again, with the present answers of the others in it."""
    names: Mapping[str, str] = call.spec["names"]
    outputs = {task_id: answers.get(one) for task_id, one in names.items()}
    return render_input(call.spec["work"][name], outputs, names, _no_function)


def _no_function(path: str, _: dict[str, JSONValue]) -> JSONValue:
    raise AgentError(path, "a function of the outputs cannot be called again here")


def _review_request(goal: JSONValue, answers: Mapping[str, JSONValue], *, last: bool) -> str:
    parts = [_text(goal)] if goal else []
    parts += [f"## {name}\n{_text(answer)}" for name, answer in answers.items()]
    parts.append(
        "Give the final answer now."
        if last
        else "Give the final answer. If the work of one of them must be done again, name it in "
        "`send_back` with what to change."
    )
    return "\n\n".join(parts)


def _redo(given: JSONValue, answer: JSONValue, feedback: str) -> str:
    return (
        f"{_text(given)}\n\nYour answer before:\n{_text(answer)}\n\n"
        f"It was sent back:\n{feedback}\n\nAnswer again."
    )


def read_review(answer: JSONValue) -> dict[str, Any]:
    """Read what a supervisor said: an object by `REVIEW_SCHEMA`, or the final answer itself."""
    if isinstance(answer, dict) and "final" in answer:
        entries = answer.get("send_back") or []
        back = [
            (str(entry["task"]), str(entry.get("feedback", "")))
            for entry in (entries if isinstance(entries, list) else [])
            if isinstance(entry, dict) and "task" in entry
        ]
        return {"final": answer["final"], "send_back": back}
    return {"final": answer, "send_back": []}


# --- COLLABORATIVE ----------------------------------------------------------------------


def lay_collaboration(
    workflow: Workflow, level: list[PlannedTask], graph: Graph
) -> list[PlannedTask]:
    """The agents work on one draft in turn; a last task holds the loop and the draft.

    The first round is the tasks themselves, each with the draft so far; the rounds
    after it are turns of the loop.
    """
    by_id = {one.task.id: one for one in level}
    order = [by_id[task_id] for task_id in graph.order()]
    for one in order:
        if isinstance(one.agent, Workflow) or one.task.map is not None or one.rescues:
            raise InvalidWorkflowError(
                workflow.name,
                f"in a COLLABORATIVE workflow task {one.task.name!r} needs an agent of its own, "
                "without map or on_failure",
            )
    chained: list[PlannedTask] = [order[0]]
    for before, one in pairwise(order):
        parents = tuple(dict.fromkeys((*one.parents, before.task.id)))
        chained.append(
            replace(one, input=with_draft(one.input, before.task.id), parents=parents, need="")
        )
    members = {one.task.name: one.agent for one in order}
    spec = {
        "rounds": workflow.max_rounds,
        "order": list(members),
        "given": {one.task.name: one.input.json for one in order if one.input.plain},
        "last": order[-1].task.name,
    }
    flow = Flow("collaborate", spec, members)
    return [*chained, _added(workflow, chained, "draft", flow)]


def with_draft(given: CompiledInput, before: str) -> CompiledInput:
    """An input with the draft, the output of the task before, put behind it."""
    node = json.loads(given.json)
    parts: list[Any]
    if "t" in node:
        parts = list(node["t"])
    elif "v" in node:
        parts = [_text(node["v"])] if node["v"] is not None else []
    elif "r" in node:
        parts = [node["r"]]
    else:
        # A dict, a list or a function: it says itself what it takes from the others.
        return given
    parts += ["\n\nThe shared draft so far, to be improved:\n" if parts else "", [before]]
    references = tuple(dict.fromkeys((*given.references, before)))
    return CompiledInput(to_json({"t": parts}), references, plain=False)


def _collaborate(call: FlowCall) -> Expand | Done:
    order: list[str] = call.spec["order"]
    if call.state is None:
        # The first round was the tasks themselves.
        state: dict[str, Any] = {"round": 1, "place": len(order), "before": None}
        draft = call.outcomes[call.spec["last"]].output
    else:
        state = call.state
        draft = next(iter(call.outcomes.values())).output
    if state["place"] < len(order):
        return _next_turn(call, state, draft)
    settled = state["before"] is not None and _text(draft).strip() == str(state["before"]).strip()
    if settled or state["round"] >= call.spec["rounds"]:
        return Done(draft)
    following = {"round": state["round"] + 1, "place": 0, "before": _text(draft)}
    return _next_turn(call, following, draft)


def _next_turn(call: FlowCall, state: dict[str, Any], draft: JSONValue) -> Expand:
    name = call.spec["order"][state["place"]]
    given = call.spec["given"].get(name)
    own = _text(json.loads(given)["v"]) if given else ""
    request = (
        f"{own}\n\nThe shared draft so far (round {state['round']}), to be improved; "
        f"give it back unchanged if it is good:\n{_text(draft)}"
    )
    turn = Turn(f"{name} round {state['round']}", name, request.strip())
    return Expand((turn,), {**state, "place": state["place"] + 1})


STEPS["supervise"] = _supervise
STEPS["collaborate"] = _collaborate
