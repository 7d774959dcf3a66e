"""The commands that run a workflow from a file, and watch one.

Command line, over the facade.
"""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyagent_orch.cli.arguments import Installation, command, json_option, modules
from pyagent_orch.cli.completion import workflows
from pyagent_orch.cli.exits import Exit
from pyagent_orch.cli.live_text import LiveText
from pyagent_orch.cli.show import STATUS_STYLES, console, note, print_json, print_spans, print_text
from pyagent_orch.escape import width
from pyagent_orch.exceptions import TaskNotFoundError, TaskTimeoutError, WorkflowNotFoundError
from pyagent_orch.states import TaskStatus

if TYPE_CHECKING:
    from pyagent_orch.orchestrator import Orchestrator
    from pyagent_orch.workflows import Workflow

SECTION = "Workflows"
_LOOK_SECONDS = 0.25
_PLAIN_LOOK_SECONDS = 1.0


@command("run", SECTION)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--wait/--no-wait", default=True, help="Watch it to its end; on by default.")
@click.option("--explain", is_flag=True, help="Print its chains and chords, and run nothing.")
@click.option("--mermaid", is_flag=True, help="Print it as a Mermaid flowchart, and run nothing.")
@click.option(
    "--embedded", is_flag=True, help="Run it here, on a private server and worker; implies --wait."
)
@click.option(
    "--agents", multiple=True, metavar="MODULE", help="With --embedded: where its agents are."
)
@json_option
def run(
    installation: Installation,
    *,
    file: Path,
    wait: bool,
    explain: bool,
    mermaid: bool,
    embedded: bool,
    agents: tuple[str, ...],
    as_json: bool,
) -> Exit:
    """Run the workflow that FILE describes, a YAML document.

    Prints its id, or after the wait its output.
    """
    if embedded and (not wait or installation.redis_url):
        raise click.UsageError("--embedded goes with neither --no-wait nor --redis-url")
    from pyagent_orch.workflows.document import load_workflow

    workflow = load_workflow(file)
    if explain or mermaid:
        print_text(workflow.to_mermaid() if mermaid else workflow.explain())
        return Exit.OK
    if embedded:
        from pyagent_orch.cli.submit import embedded_orchestrator

        orchestrator = embedded_orchestrator(installation, agents)
    elif modules(agents):
        raise click.UsageError("--agents goes with --embedded; a fleet's workers have their own")
    else:
        orchestrator = installation.fleet()
    with orchestrator:
        orchestrator.submit_workflow(workflow)
        if not wait:
            if as_json:
                print_json({"id": workflow.id})
            else:
                print_text(workflow.id, lines=False)
            return Exit.OK
        return _watch(orchestrator, workflow, as_json=as_json)


@command("watch", SECTION)
@click.argument("workflow_id", metavar="ID", shell_complete=workflows)
@json_option
def watch(installation: Installation, *, workflow_id: str, as_json: bool) -> Exit:
    """Watch a workflow to its end: a tree with states, times, tokens, progress, running text.

    Also a task. Ctrl-C ends the watching, not the work. With --json prints one document at the end.
    """
    with installation.fleet() as orchestrator:
        try:
            workflow = orchestrator.get_workflow(workflow_id)
        except WorkflowNotFoundError:
            return _watch_task(orchestrator, workflow_id, as_json=as_json)
        return _watch(orchestrator, workflow, as_json=as_json)


def _watch_task(orchestrator: Orchestrator, task_id: str, *, as_json: bool) -> Exit:
    from pyagent_orch.cli.progress import wait_with_progress
    from pyagent_orch.cli.submit import print_outcome

    try:
        task = orchestrator.get_task(task_id)
    except TaskNotFoundError:
        # What is watched is a workflow in the first place.
        raise WorkflowNotFoundError(task_id) from None
    record = wait_with_progress(orchestrator, task, None)
    assert record is not None, "it is waited for without a limit"
    return print_outcome(record, as_json=as_json)


def _watch(orchestrator: Orchestrator, workflow: Workflow, *, as_json: bool) -> Exit:
    from pyagent_orch.cli.workflow_view import as_workflow_document

    if as_json:
        workflow.wait()
    elif console(sys.stderr) is not None:
        _live(orchestrator, workflow)
    else:
        _plain(orchestrator, workflow)
    final = orchestrator.get_workflow(workflow.id)
    if as_json:
        print_json(as_workflow_document(final))
    elif final.output is not None:
        from pyagent_orch.cli.show import readable

        print_text(readable(final.output))
    if not as_json and final.error:
        note(f"{final.status.value}: {final.error}")
    return {"completed": Exit.OK, "failed": Exit.FAILED}.get(final.status.value, Exit.CANCELLED)


def _live(orchestrator: Orchestrator, workflow: Workflow) -> None:
    """A tree that is drawn anew as the workflow goes, on stderr."""
    from rich.live import Live
    from rich.text import Text

    screen = console(sys.stderr)
    assert screen is not None

    written = LiveText(workflow).start()

    def drawn() -> Text:
        text = Text()
        for line in _picture(orchestrator.get_workflow(workflow.id), written):
            text.append_text(Text.assemble(*line, "\n"))
        return text

    with Live(drawn(), console=screen, auto_refresh=False) as live:
        while not _wait(workflow, _LOOK_SECONDS):
            live.update(drawn(), refresh=True)
        live.update(drawn(), refresh=True)


def _picture(workflow: Workflow, written: LiveText) -> list[list[tuple[str, str]]]:
    from pyagent_orch.cli.workflow_view import count_line, fitted, head_line, tree_lines

    now = datetime.now(UTC)
    record = workflow.record
    assert record is not None
    terminal = shutil.get_terminal_size()
    tree = tree_lines(workflow, now, STATUS_STYLES)
    for task in workflow.tasks:
        if task.record is not None and task.record.status is TaskStatus.RUNNING:
            line = tree[task.id]
            room = terminal.columns - sum(width(text) for text, _ in line) - 3
            line.append((f"  {written.last_words(task.id, room)}", "italic"))
    lines = fitted(list(tree.values()), max(4, terminal.lines - 4))
    return [head_line(workflow, record, STATUS_STYLES), *lines, count_line(workflow, now)]


def _plain(orchestrator: Orchestrator, workflow: Workflow) -> None:
    """A line on stderr for each task whose state has changed."""
    from pyagent_orch.cli.workflow_view import tree_lines

    told: dict[str, str] = {}
    ended = False
    while not ended:
        ended = _wait(workflow, _PLAIN_LOOK_SECONDS)
        now = datetime.now(UTC)
        fresh = orchestrator.get_workflow(workflow.id)
        states = {task.id: task.record.status.value for task in fresh.tasks if task.record}
        for task_id, line in tree_lines(fresh, now, STATUS_STYLES).items():
            if told.get(task_id) != states[task_id] != "pending":
                print_spans(line, err=True)
        told = states


def _wait(workflow: Workflow, seconds: float) -> bool:
    with suppress(TaskTimeoutError):
        workflow.wait(seconds)
        return True
    return False
