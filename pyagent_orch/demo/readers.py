"""The demo's agents: who gathers files, who reads one, who analyses, and the editor who writes.

Part of the demo, on the layer of the edges. Importing this module registers
them; a fleet's workers do so with PYAGENT_ORCH_AGENTS=pyagent_orch.demo.readers.
"""

from __future__ import annotations

from pathlib import Path

from pyagent_orch.agents import register_agent
from pyagent_orch.demo.files import collect
from pyagent_orch.demo.findings import FileRun, Findings, digest
from pyagent_orch.demo.reading import read_file
from pyagent_orch.demo.results import FileReport
from pyagent_orch.exceptions import AgentError
from pyagent_orch.models.values import JSONValue

GATHERER, READER, ANALYST = "demo.gather_files", "demo.read_text_file", "demo.analyse"
"""The names under which the agents are registered."""

EDITOR = (
    "You are a technical editor. You are given figures and findings about a folder of text and "
    "source files. In one paragraph of at most 120 words tell its owner what the folder is about, "
    "what shape it is in, and the two or three things most worth mending, each with its file. "
    "Use only what you are given."
)
"""The instructions of the agent that sums up."""


@register_agent(GATHERER)
def gather_files(folder: str) -> JSONValue:
    """List the text files of a folder.

    Args:
        folder: its absolute path, which the worker must be able to see.

    Returns:
        What `read_text_file` takes, one for each file.
    """
    return [{"folder": folder, "path": file.path} for file in collect(Path(folder)).files]


@register_agent(READER)
def read_text_file(file: dict[str, str]) -> JSONValue:
    """Read one text file and find what is worth telling about it.

    The message holds the file's place, not its text, so the worker must see the
    same disk as the one who submits.

    Args:
        file: `folder`, absolute, and `path`, relative to it.

    Returns:
        The JSON of a `FileReport`.

    Raises:
        AgentError: the file cannot be read here.
    """
    folder = Path(file["folder"])
    try:
        report = read_file(folder / file["path"], folder)
    except OSError as error:
        raise AgentError(
            READER,
            f"cannot read {file['path']!r} in {file['folder']!r}: {error.strerror}; "
            "the demo's workers must see the same disk.",
        ) from error
    output: JSONValue = report.model_dump(mode="json")
    return output


@register_agent(ANALYST)
def analyse(reports: list[JSONValue], context: dict[str, JSONValue]) -> str:
    """Say in a few lines what the reports of all files have in common.

    Args:
        reports: the JSON of a `FileReport` each.
        context: the outputs of other tasks; the files that were gathered are among them.
    """
    gathered = context.get("gather")
    first = gathered[0] if isinstance(gathered, list) and gathered else None
    folder = str(first["folder"]) if isinstance(first, dict) else ""
    found = [FileReport.model_validate(report) for report in reports]
    return digest(Findings(folder, [FileRun.of_report(report) for report in found], {}))
