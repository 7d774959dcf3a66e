"""The file of a state: always valid JSON, whatever is written, and repaired whatever is torn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyagent_orch.exceptions import StateFileError
from pyagent_orch.models.values import to_json
from pyagent_orch.state.journal import Journal
from pyagent_orch.state.lines import LINE_LIMIT, Entry, decode, encode, head_of
from pyagent_orch.state.pages import BLOCK

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)  # fmt: skip
LONG = st.integers(0, 20_000)


def entries_of(path: Path) -> list[Entry]:
    """What the file has, read from the disk as it is."""
    journal = Journal.open(path, "default")
    try:
        with journal.reading() as reading:
            return [decode(group.lines) for group in reading.groups()]
    finally:
        journal.close()


def document(path: Path) -> list[dict[str, object]]:
    content = json.loads(path.read_bytes())
    assert (content["format"], content["version"]) == ("pyagent_orch state", 1)
    entries: list[dict[str, object]] = content["entries"]
    return entries


def task(number: int, **record: str | float) -> Entry:
    return Entry("task", f"t{number}", 1000 + number, record={"name": "n", **record})


def state(number: int, status: str, final: int | None = None) -> Entry:
    return Entry("task.state", f"t{number}", 1000 + number, final, record={"status": status})


@given(
    name=TEXTS, value=JSON_VALUES, output=st.none() | JSON_VALUES, filler=TEXTS, count=LONG,
    final=st.none() | st.integers(0, 2**50), workflow=st.sampled_from(["", "w-1"]),
    callback=st.sampled_from(["", "shop.jobs:on_done"]), agents=st.sampled_from([(), ("a1", "b2")]),
)  # fmt: skip
@settings(deadline=None)
def test_an_entry_is_read_back_as_it_was_written(  # noqa: PLR0917 - drawn by name
    name, value, output, filler, count, final, workflow, callback, agents
):
    long = (filler or "x") * (count // max(1, len(filler)))
    record = {"name": name + long, "priority": 5, "timeout": 1.5, "input": to_json([value, long])}
    text = None if output is None else to_json([output, long])
    entry = Entry("task", "t-1", 17, final, workflow, agents, callback, record, text)
    lines = encode(entry)
    assert all(len(line) <= LINE_LIMIT for line in lines)
    assert not any(b"\n" in line for line in lines)
    assert decode(lines) == entry
    head = head_of(lines[-1])
    assert head[:5] == ("task", "t-1", 17, final, workflow)
    assert head.agents == agents
    assert head.has_callback == bool(callback)


def test_a_head_is_found_also_in_a_line_that_was_written_by_hand():
    line = b'{ "id": "t", "created": 5, "kind": "task", "workflow": "w", "agents": ["a"] }'
    assert head_of(line) == ("task", "t", 5, None, "w", ("a",), False)


@given(st.lists(st.integers(0, 9_000), max_size=80))
@settings(deadline=None, max_examples=40)
def test_the_document_is_valid_after_every_write(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("state") / "s.json"
    journal = Journal.open(path, "default")
    written = []
    for number, size in enumerate(sizes):
        written.append(task(number, input=to_json("é" * size)))
        journal.append(written[-1:])
    assert document(path)
    journal.close()
    assert entries_of(path) == written


def test_no_write_crosses_a_block(tmp_path, monkeypatch):
    """What lies within one page the kernel copies whole or not at all, also at a SIGKILL."""
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    real, crossing = os.pwrite, []

    def watching(descriptor: int, content: bytes, offset: int) -> int:
        blank = not content.strip()
        if not blank and offset // BLOCK != (offset + len(content) - 1) // BLOCK:
            crossing.append((offset, len(content)))
        written = real(descriptor, content, offset)
        # Between the two writes that move the bracket there are two of them.
        if content.strip() and content != b"\n]}\n":
            document(path)
        return written

    monkeypatch.setattr(os, "pwrite", watching)
    for number in range(300):
        journal.append([task(number, input=to_json("x" * (number * 37 % 9000)))])
    monkeypatch.undo()
    journal.close()
    assert crossing == []
    assert len(document(path)) > 300


def test_a_tail_torn_at_any_byte_costs_only_the_entry_that_it_tore(tmp_path):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    kept = [task(1, input='"first"'), task(2, input='{"a":{"b":[1,2,{}]}}')]
    journal.append(kept)
    before = journal._pages.end
    journal.append([task(3, input='{"torn":{"at":[{}]}}', next="a b")])
    end = journal._pages.end
    journal.close()
    whole = path.read_bytes()
    for cut in range(before, end):
        path.write_bytes(whole[:cut])
        assert entries_of(path) == kept, cut
        assert len(document(path)) == 3
        for aside in tmp_path.glob("s.json.cut-*"):
            assert aside.read_bytes().strip() in whole
            aside.unlink()
    # Nothing of it was lost when only what is behind it is missing.
    path.write_bytes(whole[:end])
    assert len(entries_of(path)) == 3


def test_what_was_cut_off_is_kept_beside_the_file(tmp_path, caplog):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    journal.append([task(1)])
    end = journal._pages.end
    journal.append([task(2, input='"precious"')])
    journal.close()
    path.write_bytes(path.read_bytes()[: end + 60])
    assert entries_of(path) == [task(1)]
    [aside] = tmp_path.glob("s.json.cut-*")
    assert aside.read_bytes().startswith(b'{"kind":"task","id":"t2"')
    assert str(aside) in caplog.text
    assert aside.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("damage", [b"\0" * 600, b'{"kind":"task","id":"t', b"}}}}", b"#"])
def test_entries_behind_a_damaged_place_are_kept(tmp_path, damage):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    entries = [task(number, input=to_json("x" * 1500)) for number in range(10)]
    journal.append(entries)
    journal.close()
    text = bytearray(path.read_bytes())
    place = text.index(b'"id":"t4"')
    text[place : place + len(damage)] = damage
    path.write_bytes(bytes(text))
    found = entries_of(path)
    assert [one for one in entries if one not in found] == [entries[4]]
    document(path)


def test_two_brackets_as_a_killed_growth_leaves_them_are_repaired(tmp_path):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    journal.append([task(1)])
    journal.close()
    text = path.read_bytes()
    path.write_bytes(text + b" " * (BLOCK - 4) + b"\n]}\n")
    assert entries_of(path) == [task(1)]
    document(path)
    assert list(tmp_path.glob("*.cut-*")) == []


def test_a_file_that_an_editor_has_laid_out_anew_is_read(tmp_path):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    entries = [task(1, input='{"a":"b"}'), task(2, input=to_json("long " * 3000)), task(3)]
    journal.append(entries)
    journal.close()
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
    assert entries_of(path) == entries
    assert list(tmp_path.glob("*.cut-*")) == []


def test_a_line_that_was_changed_by_hand_is_read(tmp_path):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    journal.append([task(1), task(2), task(3)])
    journal.close()
    text = path.read_bytes()
    line = b'{"kind":"task","id":"t2","created":1002,"record":{"name":"n"}}'
    by_hand = b'{ "id":"t2", "kind":"task", "created":1002,"record":{"name":"m"}}'
    assert line in text
    path.write_bytes(text.replace(line, by_hand))
    assert [entry.record["name"] for entry in entries_of(path)] == ["n", "m", "n"]
    assert list(tmp_path.glob("*.cut-*")) == []


@pytest.mark.parametrize(
    "content",
    [
        '{"some": "settings"}',
        "[1, 2]",
        "no JSON",
        '{"format":"pyagent_orch state","version":99,"entries":[]}',
    ],
)
def test_a_file_that_is_something_else_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "s.json"
    path.write_text(content)
    with pytest.raises(
        StateFileError, match=r"s\.json: it is (there and no state file|of version)"
    ):
        Journal.open(path, "default")
    assert path.read_text() == content


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_file_is_a_new_one(tmp_path, content):
    path = tmp_path / "s.json"
    path.write_bytes(content)
    assert entries_of(path) == []


def test_a_file_of_another_namespace_is_refused(tmp_path):
    path = tmp_path / "s.json"
    Journal.open(path, "shop").close()
    with pytest.raises(StateFileError, match="belongs to namespace 'shop', not to 'default'"):
        Journal.open(path, "default")


def test_a_file_in_use_is_refused_with_the_process_that_uses_it(tmp_path):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    with pytest.raises(StateFileError, match=rf"s\.json: it is in use by process {os.getpid()} "):
        Journal.open(path, "default")
    journal.close()
    Journal.open(path, "default").close()


def test_a_place_where_nothing_can_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StateFileError, match="cannot be used here"):
        Journal.open(tmp_path / "file" / "s.json", "default")


def test_a_full_disk_is_said_and_leaves_a_valid_file(tmp_path, monkeypatch):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    written = 0
    real = os.pwrite

    def full(descriptor: int, content: bytes, offset: int) -> int:
        if offset + len(content) > 20 * BLOCK:
            raise OSError(28, "No space left on device")
        return real(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StateFileError, match="cannot be written: No space left on device"):  # noqa: PT012 - which one it is depends on the blocks
        for _ in range(1000):
            journal.append([task(written, input=to_json("x" * 900))])
            written += 1
    monkeypatch.undo()
    assert len(document(path)) == written + 1
    journal.append([task(written)])
    journal.close()
    assert len(entries_of(path)) == written + 1


# --- tidying up -------------------------------------------------------------------------


def test_tidying_up_leaves_out_what_is_outdated(tmp_path):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default", record_ttl=10**15)
    agent = Entry("agent", "a1", 1, record={"json": '{"kind":"model"}'})
    unused = Entry("agent", "b2", 1, record={"json": '{"kind":"model"}'})
    base = Entry("task", "t1", 1, agents=("a1",), record={"input": to_json("y" * 9000)})
    states = [Entry("task.state", "t1", 1, None, record={"attempts": n}) for n in range(20)]
    final = Entry("task.state", "t1", 1, 99, record={"status": "completed"}, output='"o"')
    called = Entry("task.called", "t1", 1)
    orphan = Entry("task", "t9", 1, workflow="never-finished-writing")
    other = Entry("job", "nightly", 5, record={"name": "of a later release"})
    journal.append([agent, unused, base, *states, final, called, orphan, other])
    size = path.stat().st_size
    journal.tidy()
    journal.append([task(2)])
    journal.close()
    assert entries_of(path) == [agent, base, final, called, other, task(2)]
    assert path.stat().st_size <= size
    document(path)


def test_what_has_expired_in_the_store_leaves_the_file(tmp_path):
    import time

    now = time.time_ns() // 1_000_000
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default", record_ttl=60_000)
    old = [task(1), state(1, "failed", now - 61_000)]
    young = [task(2), state(2, "completed", now - 1_000)]
    flow = [
        Entry("workflow", "w", 1, record={"name": "w"}),
        Entry("task", "w1", 1, workflow="w"),
        Entry("task.state", "w1", 1, now - 90_000, record={"status": "completed"}),
    ]
    over = [
        Entry("workflow", "x", 1),
        Entry("task", "x1", 1, workflow="x"),
        Entry("workflow.state", "x", 1, now - 61_000),
    ]
    journal.append([*old, *young, *flow, *over])
    journal.tidy()
    journal.close()
    # A task of a workflow that has not ended is needed, however long it is done.
    assert entries_of(path) == [*young, *flow]


def test_nothing_that_is_written_while_it_is_tidied_up_is_lost(tmp_path):
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    journal.append([task(0)])
    journal.append([state(0, "pending") for _ in range(20_000)])
    stop = threading.Event()
    written: list[list[Entry]] = [[], []]

    def write(place: int) -> None:
        number = 1 + place
        while not stop.is_set():
            entry = task(number, input=to_json("z" * (number % 50) * 200))
            journal.append([entry])
            written[place].append(entry)
            number += 2
            stop.wait(0.0005)

    threads = [threading.Thread(target=write, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        journal.tidy()
    stop.set()
    for thread in threads:
        thread.join()
    lines = journal.tally.lines
    journal.close()
    found = entries_of(path)
    for entries in written:
        wanted = {entry.id for entry in entries}
        assert [entry for entry in found if entry.id in wanted] == entries
    assert len(written[0]) > 10
    document(path)
    again = Journal.open(path, "default")
    assert again.tally.lines == lines
    again.close()


def test_it_is_tidied_up_by_itself_when_more_than_half_is_outdated(tmp_path, monkeypatch):
    from pyagent_orch.state import journal as module

    monkeypatch.setattr(module, "SYNC_SECONDS", 0.01)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    path = tmp_path / "s.json"
    journal = Journal.open(path, "default")
    journal.append([task(number) for number in range(1000)])
    inode = path.stat().st_ino
    journal.append([state(number, "pending") for number in range(1000)])
    ticks = threading.Event()
    assert not ticks.wait(0.1)
    assert path.stat().st_ino == inode, "nothing was outdated"
    for _ in range(3):
        journal.append([state(number, "completed", 10**14) for number in range(1000)])
    for _ in range(500):
        if path.stat().st_ino != inode:
            break
        ticks.wait(0.01)
    journal.close()
    assert path.stat().st_ino != inode
    assert len(entries_of(path)) == 2000


_FORKING = """
import os, sys
from pathlib import Path
from pyagent_orch.exceptions import StateFileError
from pyagent_orch.state.journal import Journal
from pyagent_orch.state.lines import Entry

journal = Journal.open(Path(sys.argv[1]), "default")
go = os.pipe()
child = os.fork()
if child == 0:
    try:
        journal.append([Entry("task", "child", 1)])
    except StateFileError:
        os.write(1, b"refused\\n")
    os.read(go[0], 1)
    os._exit(0)
journal.append([Entry("task", "parent", 1)])
journal.close()
# The child lives on, and the file is free.
Journal.open(Path(sys.argv[1]), "default").close()
os.write(go[1], b"x")
os.waitpid(child, 0)
"""


def test_a_child_that_forks_off_neither_writes_nor_holds_the_file(tmp_path):
    path = tmp_path / "s.json"
    # A process of its own, and one that may fork with a thread.
    command = [sys.executable, "-W", "ignore", "-c", _FORKING, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr
    assert [entry.id for entry in entries_of(path)] == ["parent"]


def test_always_brings_every_entry_to_the_disk_before_it_returns(tmp_path, monkeypatch):
    from pyagent_orch.state import journal as module

    synced = []
    monkeypatch.setattr(module, "_datasync", synced.append)
    journal = Journal.open(tmp_path / "s.json", "default", fsync="always")
    journal.append([task(1)])
    assert len(synced) == 1
    journal.append([task(2)])
    assert len(synced) == 2
    journal.close()


def test_the_page_on_the_state_file_shows_a_file_that_is_read(tmp_path):
    import re

    page = (Path(__file__).parents[2] / "docs" / "state.md").read_text()
    [shown] = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    path = tmp_path / "s.json"
    path.write_text(shown)
    assert [entry.kind for entry in entries_of(path)] == ["agent", "task", "task.state"]
    [snippet] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    spec = (Path(__file__).parents[1] / "spec" / "state_persistence.py").read_text()
    assert snippet == "from pyagent_orch import Orchestrator\n\n" + spec
