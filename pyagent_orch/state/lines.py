"""Entries of a state file, and the lines of JSON that they are written as.

An entry is one fact: what was submitted, in which state something is now. Part of
the room of the state file; pure. A line is never longer than `LINE_LIMIT`: see
`pages.py` for the reason. What does not fit is cut out of its entry and stands in
lines of its own before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pyagent_orch.models.values import to_json

LINE_LIMIT = 4_000
"""Bytes of a line at the most."""
PART = "part"
"""The kind of the lines that hold what was cut out of the next entry."""
FILE = "file"
"""The kind of the first entry; there so that every other one has one before it."""
OUTPUT = "output"
JSON_FIELDS = frozenset(
    {
        "input", "template", "metadata", "retry", "when", "deps", "deps0", "aliases", "state",
        "error", "usage", "edges", "tick", "timing", "work", "json",
    }
)  # fmt: skip
"""Fields whose text is JSON, which the file shows as such."""
_CUT_AT = 3_600
_HEAD = re.compile(
    rb'\{"kind":"([a-z.]+)","id":"([^"\\]*)","created":(\d+)(?:,"final":(\d+))?'
    rb'(?:,"workflow":"([^"\\]*)")?(?:,"agents":\[([^]\\]*)])?(,"callback":)?'
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact. Frozen; knows no file."""

    kind: str
    """A noun (`task`, `workflow`, `agent`) for what it began with, or a noun and what happened
    to it (`task.state`, `task.called`). Kinds that this release does not know are kept."""
    id: str
    created: int
    """When what it is about was recorded, ms; tells apart two that had one id."""
    final: int | None = None
    """When that became final, ms; None as long as it is not."""
    workflow: str = ""
    """The workflow that it is part of."""
    agents: tuple[str, ...] = ()
    """The content hashes of the agents that it needs."""
    callback: str = ""
    """`module:qualname` of what is called when it is final."""
    record: Mapping[str, str | int | float] = field(default_factory=dict)
    """Fields as the store has them; those of `JSON_FIELDS` are texts of JSON."""
    output: str | None = None
    """JSON."""


class Head(NamedTuple):
    """What a line tells without being read as JSON; see `Entry`."""

    kind: str
    id: str
    created: int
    final: int | None
    workflow: str
    agents: tuple[str, ...]
    has_callback: bool


def encode(entry: Entry) -> list[bytes]:
    """Write an entry: its line, and before it the lines of what was cut out of it."""
    fields = {name: _value(name, value) for name, value in entry.record.items()}
    line = _line(entry, fields, entry.output, {}).encode()
    if len(line) <= LINE_LIMIT:
        return [line]
    return _cut(entry, fields)


def _cut(entry: Entry, fields: dict[str, str]) -> list[bytes]:
    output = entry.output
    cut: dict[str, list[Any]] = {}
    parts: list[bytes] = []
    while True:
        line = _line(entry, fields, output, cut).encode()
        if len(line) <= LINE_LIMIT:
            return [*parts, line]
        sizes = {name: len(text) for name, text in fields.items()}
        if output is not None:
            sizes[OUTPUT] = len(output)
        name = max(sizes, key=sizes.__getitem__)
        if name == OUTPUT and output is not None:
            text, output = output, None
        else:
            text = fields.pop(name)
        is_text = text.startswith('"')
        pieces = _pieces(json.loads(text) if is_text else text)
        cut[name] = [len(pieces), "text" if is_text else "json"]
        for piece in pieces:
            first = "" if parts else '"first":true,'
            parts.append(f'{{"kind":"{PART}",{first}"text":{_quote(piece)}}}'.encode())


def _line(
    entry: Entry, fields: Mapping[str, str], output: str | None, cut: Mapping[str, list[Any]]
) -> str:
    """The order of the names is what `_HEAD` reads."""
    text = f'{{"kind":"{entry.kind}","id":{_quote(entry.id)},"created":{entry.created}'
    if entry.final is not None:
        text += f',"final":{entry.final}'
    if entry.workflow:
        text += f',"workflow":{_quote(entry.workflow)}'
    if entry.agents:
        text += f',"agents":{to_json(entry.agents)}'
    if entry.callback:
        text += f',"callback":{_quote(entry.callback)}'
    if cut:
        text += f',"cut":{to_json(cut)}'
    if fields:
        text += ',"record":{' + ",".join(f'"{name}":{value}' for name, value in fields.items())
        text += "}"
    if output is not None:
        text += f',"output":{output}'
    return text + "}"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(name: str, value: str | float) -> str:
    if isinstance(value, str):
        # An empty text is no JSON; it stands for nothing, as in the store.
        return value if value and name in JSON_FIELDS else _quote(value)
    return repr(value)


def _pieces(text: str) -> list[str]:
    """Cut a text so that each piece fits on a line, whatever has to be escaped in it."""
    pieces, start = [], 0
    while start < len(text):
        size = _CUT_AT
        while (written := len(_quote(text[start : start + size]).encode())) > _CUT_AT:
            size = max(1, min(size - 1, size * _CUT_AT // written))
        pieces.append(text[start : start + size])
        start += size
    return pieces


def head_of(line: bytes) -> Head:
    """Read the beginning of a line; of a part only the kind.

    Raises:
        ValueError: it is no line of a state file.
    """
    found = _HEAD.match(line)
    if found is not None:
        kind, name, created, final, workflow, agents, callback = found.groups()
        return Head(
            kind.decode(),
            name.decode(),
            int(created),
            int(final) if final else None,
            workflow.decode() if workflow else "",
            tuple(agents.decode().replace('"', "").split(",")) if agents else (),
            callback is not None,
        )
    content = json.loads(line)
    if content["kind"] == PART:
        return Head(PART, "", 0, None, "", (), has_callback=False)
    entry = from_json(content)
    return Head(
        entry.kind,
        entry.id,
        entry.created,
        entry.final,
        entry.workflow,
        entry.agents,
        has_callback=bool(entry.callback),
    )


def is_part(line: bytes) -> bool:
    """Whether a line holds what was cut out of an entry behind it."""
    return line.startswith(b'{"kind":"part",')


def opens_group(line: bytes) -> bool:
    """Whether a part is the first one before its entry."""
    return line.startswith(b'{"kind":"part","first":true,')


def decode(lines: Sequence[bytes]) -> Entry:
    """Read what `encode` wrote.

    Raises:
        ValueError: it is not that.
    """
    *parts, line = lines
    return from_json(json.loads(line), [json.loads(part)["text"] for part in parts])


def from_json(content: object, parts: Iterable[str] = ()) -> Entry:
    """Make an entry of its JSON and the texts that were cut out of it.

    Raises:
        ValueError: it is no entry of a state file.
    """
    if not isinstance(content, dict):
        raise ValueError("an entry is an object")  # noqa: TRY004 - as of any other wrong content
    pieces = list(parts)
    try:
        record = {
            name: _text(name, value) for name, value in dict(content.get("record", {})).items()
        }
        output = to_json(content[OUTPUT]) if OUTPUT in content else None
        for name, (count, form) in dict(content.get("cut", {})).items():
            whole, pieces = "".join(pieces[:count]), pieces[count:]
            if name == OUTPUT:
                output = to_json(whole) if form == "text" else whole
            else:
                in_json = form == "text" and name in JSON_FIELDS
                record[name] = to_json(whole) if in_json else whole
        final = content.get("final")
        return Entry(
            str(content["kind"]),
            str(content["id"]),
            int(content["created"]),
            int(final) if final is not None else None,
            str(content.get("workflow", "")),
            tuple(map(str, content.get("agents", ()))),
            str(content.get("callback", "")),
            record,
            output,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no entry of a state file: {error!r}") from None


def _text(name: str, value: Any) -> str | int | float:
    if name in JSON_FIELDS:
        return "" if value == "" and name != "input" else to_json(value)
    if isinstance(value, str | int | float):
        return value
    raise ValueError(f"field {name!r} is neither text nor number")
