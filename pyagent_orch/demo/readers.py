"""The demo's agents: one that reads a file, and the editor who sums up.

Part of the demo, on the layer of the edges. Importing this module registers
the reader; a fleet's workers do so with PYAGENT_ORCH_AGENTS=pyagent_orch.demo.readers.
"""

from __future__ import annotations

from pathlib import Path

from pyagent_orch.agents import register_agent
from pyagent_orch.demo.reading import read_file
from pyagent_orch.exceptions import AgentError
from pyagent_orch.models.values import JSONValue

READER = "demo.read_text_file"
"""The name under which the reader is registered."""

EDITOR = (
    "You are a technical editor. You are given figures and findings about a folder of text and "
    "source files. In one paragraph of at most 120 words tell its owner what the folder is about, "
    "what shape it is in, and the two or three things most worth mending, each with its file. "
    "Use only what you are given."
)
"""The instructions of the agent that sums up."""


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
