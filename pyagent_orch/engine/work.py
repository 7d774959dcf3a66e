"""What a claimed task has to do: its condition, its input, and who does it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

from billiard.common import terminate_handler_fired
from celery.exceptions import SoftTimeLimitExceeded

from pyagent_orch import tracing
from pyagent_orch.agents import (
    AgentOutcome,
    Invocation,
    call_in_time,
    invoke,
    resolve_function,
)
from pyagent_orch.agents.contract import TextSink
from pyagent_orch.agents.local import local_function
from pyagent_orch.agents.spec import wire_of
from pyagent_orch.engine.celery_agents import celery_content, run_celery_agent
from pyagent_orch.engine.limits import soft_limit_heard
from pyagent_orch.engine.prepare import LOCAL_FUNCTION
from pyagent_orch.engine.runtime import Runtime
from pyagent_orch.exceptions import AgentError, TaskTimeoutError
from pyagent_orch.inputs import evaluate_condition, references_of, render_input
from pyagent_orch.inputs.providers import Gaps
from pyagent_orch.models.usage import Usage
from pyagent_orch.models.values import JSONValue, to_json
from pyagent_orch.patterns import Pattern as _Pattern  # noqa: F401 - its steps are here by this
from pyagent_orch.states import TaskStatus
from pyagent_orch.store.newtasks import NewTask
from pyagent_orch.store.runs import Claim, Expansion
from pyagent_orch.workflows import Done, Expand, FlowCall, Turn, run_flow
from pyagent_orch.workflows import loops as _loops  # noqa: F401 - its steps, likewise
from pyagent_orch.workflows.flows import Outcome

MAX_ROUNDS = 10_000
"""How often a flow may go on; a step function that never ends is a defect."""
_NOTHING: Mapping[str, JSONValue] = MappingProxyType({})


@dataclass(frozen=True)
class Work:
    """A claim with what was handed to it.

    Args:
        runtime: the engine's state.
        claim: the run.
        received: what a plain Celery canvas gave, the result of the task before.
    """

    runtime: Runtime
    claim: Claim
    received: tuple[Any, ...] = ()
    spent: list[Usage] = field(default_factory=list)
    """What an attempt that failed has cost."""

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Maps the ids of the tasks it depends on to their names."""
        names: dict[str, str] = json.loads(self.claim.fields["deps"] or "{}")
        return names

    @cached_property
    def _aliases(self) -> Mapping[str, str]:
        """In a copied workflow: maps those ids to the ids that templates know them by."""
        aliases: dict[str, str] = json.loads(self.claim.fields["aliases"] or "{}")
        return aliases

    @cached_property
    def _names_in_templates(self) -> Mapping[str, str]:
        return {self._aliases.get(task_id, task_id): name for task_id, name in self.names.items()}

    @cached_property
    def outcomes(self) -> Mapping[str, Outcome]:
        """Maps the names (ids where two share one) of those tasks to how they ended."""
        found: dict[str, Outcome] = {}
        # In the order in which they are listed: a prompt must not change from run to run.
        for task_id, name in self.names.items():
            status, text = self.claim.inputs[task_id]
            value = json.loads(text) if text else None
            usage = self.claim.usages.get(task_id)
            found[task_id if name in found else name] = Outcome(
                self._aliases.get(task_id, task_id),
                TaskStatus(status),
                value,
                Usage.model_validate_json(usage) if usage else None,
            )
        return found

    @cached_property
    def outputs(self) -> Mapping[str, JSONValue]:
        """Maps the ids of those tasks to their outputs; None where there is none."""
        return {one.id: one.output if one.completed else None for one in self.outcomes.values()}

    @property
    def wanted(self) -> bool:
        """Whether its condition, if it has one, holds."""
        when = self.claim.fields["when"]
        # A flow that goes on was wanted when it began.
        if not when or self.claim.fields["state"]:
            return True
        return evaluate_condition(when, self.outputs, self._names_in_templates, _call)

    @cached_property
    def input(self) -> JSONValue:
        """The input, with the outputs that it names filled in."""
        fields = self.claim.fields
        # Only the input of a scheduled run has gaps for what is provided.
        gaps = Gaps(fields["tick"], self._ask) if fields["tick"] else None
        if fields["template"]:
            wire = gaps.fill_template(fields["template"]) if gaps else fields["template"]
            return render_input(wire, self.outputs, self._names_in_templates, _call)
        value: JSONValue = json.loads(fields["input"] or "null")
        if gaps:
            value = gaps.fill(value)
        if value is None and self.received:
            return self.received[0]  # type: ignore[no-any-return] # JSON, as Celery brought it
        if value is None and fields["rescues"]:
            return self._failures()
        return value

    def _ask(self, name: str, provider: Callable[[], Any]) -> object:
        """What a context provider has to say."""
        return call_in_time(provider, self._invocation(f"context_provider({name})"))

    def _invocation(
        self, name: str, context: Mapping[str, JSONValue] = _NOTHING, text: TextSink | None = None
    ) -> Invocation:
        fields = self.claim.fields
        timeout = fields["timeout"]
        return Invocation(
            task_id=self.claim.id,
            name=name,
            attempt=int(fields["attempts"] or 1),
            run_key=fields["key"] or self.claim.id,
            metadata=json.loads(fields["metadata"] or "{}"),
            context=context,
            deadline_seconds=float(timeout) if timeout else None,
            default_model=self.runtime.settings.model,
            interruptible=self.runtime.interruptible,
            text=text,
        )

    def _failures(self) -> str:
        """What an on-failure task is told when it has no input of its own."""
        failed = [(n, o) for n, o in self.outcomes.items() if o.status is TaskStatus.FAILED]
        return "\n".join(f"{name} failed: {_error_text(one)}" for name, one in failed)

    @property
    def context(self) -> dict[str, JSONValue]:
        """The outputs that the input does not name; empty when switched off."""
        if self.claim.fields["context"] == "0":
            return {}
        template = self.claim.fields["template"]
        used = references_of(template) if template else frozenset()
        if used is None:
            # A function of the outputs has seen them all and taken what it wants.
            return {}
        return {
            name: one.output if one.completed else {"error": _error_text(one)}
            for name, one in self.outcomes.items()
            if one.id not in used
            and (one.completed or (self.claim.fields["rescues"] and one.status == "failed"))
        }

    def run(self) -> AgentOutcome | Expansion:
        """Have it done: the outcome, or the tasks that come before it can go on.

        Raises:
            TaskTimeoutError: its time is over.
            AgentError: the agent wants to end the process.
            SystemExit: the process is told to end.
        """
        try:
            with soft_limit_heard(interruptible=self.runtime.interruptible):
                return self._run()
        except SoftTimeLimitExceeded:
            limit = self.claim.fields["timeout"]
            # Without one it is Celery's own: of its configuration, or by remote control.
            how = f"it ran longer than {limit} s" if limit else "Celery's time limit ended it"
            raise TaskTimeoutError(self.claim.id, how) from None
        except (SystemExit, KeyboardInterrupt) as error:
            if terminate_handler_fired():
                raise
            # An agent's `sys.exit()`: the pool's process or thread would end, and look lost.
            name = self.claim.fields["name"] or self.claim.id
            text = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise AgentError(name, f"it raised {text}") from error

    def _run(self) -> AgentOutcome | Expansion:
        flow = flow_content(self.claim.agent)
        if flow is not None:
            return self._step(flow)
        celery_task = celery_content(self.claim.agent)
        if celery_task is not None:
            answer = run_celery_agent(self.runtime.app, celery_task, self.input)
            return AgentOutcome(answer)
        invocation = self._invocation(
            self.claim.fields["name"] or self.claim.id,
            self.context if self.claim.inputs else {},
            self.runtime.texts.begin(self.claim.id, self.claim.run),
        )
        try:
            outcome = invoke(self.claim.agent, self.input, invocation, self.spent.append)
        except BaseException:
            self.runtime.texts.drop(invocation.text)
            raise
        # A text that is recorded is shown from the record.
        self.runtime.texts.end(invocation.text, shown=isinstance(outcome.output, str))
        return outcome

    # --- flows ------------------------------------------------------------------------

    def _step(self, flow: Mapping[str, Any]) -> AgentOutcome | Expansion:
        kept = json.loads(self.claim.fields["state"] or "null")
        step = int(kept["step"]) if kept else 0
        name = self.claim.fields["name"] or self.claim.id
        if step >= MAX_ROUNDS:
            raise AgentError(name, f"it has gone on {MAX_ROUNDS} times without an end")
        call = FlowCall(
            self.claim.id,
            name,
            json.loads(flow["spec"]),
            kept["input"] if kept else self.input,
            kept["state"] if kept else None,
            self.outcomes,
            self.claim.elapsed_ms / 1000,
            self.claim.fields["workflow"] or "",
        )
        answer = run_flow(flow["flow"], call)
        if isinstance(answer, Done):
            return AgentOutcome(answer.output)
        return self._expansion(flow, call, answer, step)

    def _expansion(
        self, flow: Mapping[str, Any], call: FlowCall, answer: Expand, step: int
    ) -> Expansion:
        # The same ids whenever the step is made again: a repeat records nothing twice.
        ids = {turn.name: f"{self.claim.id}.{step}.{i}" for i, turn in enumerate(answer.turns)}
        agents: dict[str, str] = {}
        tasks = [self._turn(flow, answer, turn, ids, agents) for turn in answer.turns]
        state = {"step": step + 1, "input": call.input, "state": answer.state}
        given = {name: task_id for task_id, name in self.names.items()}
        deps = {given[name]: name for name in answer.keep}
        deps |= {task_id: name for name, task_id in ids.items()}
        return Expansion(
            tasks, agents, to_json(state), answer.need, to_json(deps), _rest(answer), answer.wake
        )

    def _turn(
        self,
        flow: Mapping[str, Any],
        answer: Expand,
        turn: Turn,
        ids: Mapping[str, str],
        agents: dict[str, str],
    ) -> NewTask:
        wire = wire_of(json.loads(flow["agents"][turn.agent]), turn.name)
        agents[wire.hash] = wire.json
        parent = self.claim.fields
        fields: dict[str, str | int | float] = {
            "name": turn.name,
            "agent": wire.hash,
            "input": to_json(turn.input),
            "queue": parent["queue"] or "",
            "priority": parent["priority"] or 5,
            "next": " ".join(
                [self.claim.id, *(ids[t.name] for t in answer.turns if turn.name in t.after)]
            ),
            "n": len(turn.after),
            "parent": self.claim.id,
        }
        if trace := tracing.carrier():
            fields["trace"] = trace
        if answer.need:
            # The flow goes on without it, so that its failure is not the workflow's.
            fields["soft"] = "1"
        if turn.after:
            fields["deps"] = to_json({ids[name]: name for name in turn.after})
        for inherited in ("timeout", "retry"):
            if parent[inherited]:
                fields[inherited] = str(parent[inherited])
        if turn.metadata:
            fields["metadata"] = to_json(turn.metadata)
        return NewTask(ids[turn.name], fields)


def _rest(answer: Expand) -> str:
    """When the turns that are not needed any more are cancelled; see joins.lua."""
    if answer.wake is not None or answer.need.startswith("settled:"):
        return "end"
    return "1" if answer.cancel_rest else ""


@lru_cache(maxsize=256)
def flow_content(wire: str) -> Mapping[str, Any] | None:
    """The parts of a wire form that is a flow's; None for any other."""
    if '"kind":"flow"' not in wire:
        return None
    content: Mapping[str, Any] = json.loads(wire)
    return content if content.get("kind") == "flow" else None


def _error_text(outcome: Outcome) -> str:
    error = outcome.output
    return f"{error['type']}: {error['message']}" if isinstance(error, dict) else ""


def _call(path: str, outputs: dict[str, JSONValue]) -> Any:
    """Call a function of the outputs."""
    if path.startswith(LOCAL_FUNCTION):
        answer = local_function(path.removeprefix(LOCAL_FUNCTION)).call(outputs)
    else:
        answer = resolve_function(path)(outputs)
    if inspect.iscoroutine(answer):
        answer.close()
        raise AgentError(path, "a function of the outputs must not be a coroutine function")
    return answer
