"""The command that submits a task, and may wait for it.

Command line, over the facade.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from pyagent_orch.cli.arguments import (
    Installation,
    collected,
    command,
    json_option,
    metadata_option,
    parse_json,
    seconds,
)
from pyagent_orch.cli.completion import agents, queues
from pyagent_orch.cli.exits import OF_STATUS, Exit
from pyagent_orch.models.values import JSONValue

if TYPE_CHECKING:
    from pyagent_orch.models.records import TaskRecord
    from pyagent_orch.models.tasks import Task
    from pyagent_orch.orchestrator import Orchestrator

SECTION = "Tasks"
_STDIN = "-"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Whether and how to wait for the task."""

    wanted: bool
    timeout: float | None
    as_json: bool


@command("submit", SECTION)
@click.argument("words", metavar="AGENT [INPUT]", nargs=-1, shell_complete=agents)
@click.option(
    "--instructions",
    metavar="TEXT",
    help="Ask a model with these instructions; INPUT is then the only argument.",
)
@click.option("--model", metavar="NAME", help="With --instructions: such as openai:gpt-5.")
@click.option("--json-input", is_flag=True, help="INPUT is JSON, not text.")
@click.option("--name", help="What people call the task; the agent's name otherwise.")
@click.option(
    "--priority",
    type=click.IntRange(1, 10),
    metavar="N",
    default=5,
    show_default=True,
    help="1 is the highest.",
)
@metadata_option("Stays with the task.")
@click.option(
    "--timeout",
    type=seconds,
    metavar="DURATION",
    help="How long one attempt may take, such as 90 or 5m.",
)
@click.option("--retry", type=click.IntRange(1, 1000), metavar="N", help="N attempts in all.")
@click.option("--queue", metavar="NAME", shell_complete=queues, help="The Celery queue.")
@click.option("--key", help="The same key again gives the task that already has it.")
@click.option(
    "--delay",
    type=seconds,
    metavar="DURATION",
    default="0",
    help="How long to wait before it may start.",
)
@click.option("--wait/--no-wait", default=None, help="Wait, and print the output; not the id.")
@click.option(
    "--wait-timeout", type=seconds, metavar="DURATION", help="Wait no longer; the task goes on."
)
@click.option(
    "--embedded", is_flag=True, help="Run it here, on a private server and worker; implies --wait."
)
@click.option(
    "--agents", multiple=True, metavar="MODULE", help="With --embedded: where its agents are."
)
@json_option
def submit(
    installation: Installation,
    *,
    words: tuple[str, ...],
    instructions: str | None,
    model: str | None,
    json_input: bool,
    name: str | None,
    priority: int,
    metadata: tuple[tuple[str, JSONValue], ...],
    timeout: float | None,
    retry: int | None,
    queue: str | None,
    key: str | None,
    delay: float,
    wait: bool | None,
    wait_timeout: float | None,
    embedded: bool,
    agents: tuple[str, ...],
    as_json: bool,
) -> Exit:
    """Submit a task: INPUT for the agent of this name.

    INPUT is text; `-` reads it from stdin, and a task without INPUT gets null. Prints the
    task's id, or with --wait its output.
    """
    if embedded and (wait is False or installation.redis_url):
        raise click.UsageError("--embedded goes with neither --no-wait nor --redis-url")
    if agents and not embedded:
        raise click.UsageError("--agents goes with --embedded; a fleet's workers have their own")
    waiting = _Waiting(
        wanted=embedded or bool(wait) or (wait is None and wait_timeout is not None),
        timeout=wait_timeout,
        as_json=as_json,
    )
    agent, given = _agent_and_input(words, instructions, model)
    from pyagent_orch.models.tasks import Task

    task = Task(
        agent, _input(given, json_input=json_input), name=name, priority=priority,
        metadata=collected(metadata), timeout=timeout, retry=retry, queue=queue, key=key,
        delay=delay,
    )  # fmt: skip
    with (
        embedded_orchestrator(installation, agents)
        if embedded
        else installation.fleet() as orchestrator
    ):
        return _submit(orchestrator, task, waiting)


def _agent_and_input(
    words: tuple[str, ...], instructions: str | None, model: str | None
) -> tuple[object, str | None]:
    """The agent, and the input as it was written."""
    if instructions is None:
        if model is not None:
            raise click.UsageError("--model goes with --instructions")
        if not 1 <= len(words) <= 2:  # noqa: PLR2004 - an agent and its input
            raise click.UsageError("give AGENT, or AGENT and INPUT; put INPUT in quotes")
        return words[0], words[1] if words[1:] else None
    if len(words) != 1:
        raise click.UsageError("with --instructions give INPUT and nothing else, in quotes")
    from pyagent_orch.agents import agent

    return agent(instructions, model=model), words[0]


def _input(given: str | None, *, json_input: bool) -> JSONValue:
    if given == _STDIN:
        try:
            given = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as error:
            raise click.UsageError(f"stdin is not UTF-8 text: {error}") from None
    if given is None or not json_input:
        return given
    try:
        return parse_json(given)
    except ValueError as error:
        raise click.UsageError(f"INPUT is not JSON: {error}") from None


def embedded_orchestrator(installation: Installation, agents: tuple[str, ...]) -> Orchestrator:
    """An orchestrator of this process, with the agents of these modules."""
    from pyagent_orch.agents import load_agents
    from pyagent_orch.cli.arguments import modules
    from pyagent_orch.orchestrator import Orchestrator

    settings = installation.embedded_settings(agents=modules(agents))
    if settings.agents:
        # As `python -m` does, and so a worker: modules beside the user are found.
        sys.path.insert(0, "")
        load_agents(settings.agents)
    return Orchestrator(settings=settings)


def _submit(orchestrator: Orchestrator, task: Task, waiting: _Waiting) -> Exit:
    from pyagent_orch.cli.progress import wait_with_progress
    from pyagent_orch.cli.show import note, print_json, print_text
    from pyagent_orch.cli.task_view import as_document

    task = orchestrator.submit(task)
    record = task.record
    if waiting.wanted:
        try:
            record = wait_with_progress(orchestrator, task, waiting.timeout)
        except KeyboardInterrupt:
            if not orchestrator.is_embedded:
                note(f"Task {task.id} goes on; to end it: pyagent-orch cancel {task.id}")
            raise
        if record is not None:
            return print_outcome(record, as_json=waiting.as_json)
        note(f"Task {task.id} is not final yet and goes on: pyagent-orch show {task.id}")
        record = task.record
    if not waiting.as_json:
        print_text(task.id)
    elif record is not None:
        print_json(as_document(record))
    return Exit.STILL_RUNNING if waiting.wanted else Exit.OK


def print_outcome(record: TaskRecord, *, as_json: bool) -> Exit:
    """Print the output of a final task, or why there is none."""
    from pyagent_orch.cli.show import print_error, print_json, print_text, readable
    from pyagent_orch.cli.task_view import as_document

    code = OF_STATUS[record.status]
    if as_json:
        print_json(as_document(record))
    elif code is Exit.OK:
        print_text(readable(record.output))
    if code is not Exit.OK:
        reason = f": {record.error}" if record.error else ""
        print_error(f"Task {record.id} {record.status.value}{reason}")
    return code
