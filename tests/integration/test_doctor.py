"""The doctor: nothing to complain of where all is well; the command; the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import pytest

from pyagent_orch import Orchestrator
from pyagent_orch.doctor import CHECKS, Severity, worst
from support.checkup import (
    healthy_fleet,
)
from support.command import Command
from support.fleet import ROOT, Fleet


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with healthy_fleet(tmp_path_factory.mktemp("healthy")) as fleet:
        yield fleet


def test_a_healthy_installation_has_nothing_to_complain_of(healthy: Fleet) -> None:
    store = healthy.orchestrator._store
    before = set(store.client.keys("*"))
    findings = healthy.orchestrator.doctor()
    assert [str(one) for one in findings if one.severity is not Severity.OK] == []
    assert worst(findings) is Severity.OK
    assert [one.id for one in findings] == list(CHECKS)
    assert not any(one.remedy for one in findings)
    assert not set(store.client.keys("*")) - before, "the doctor leaves something behind"


def test_an_embedded_installation_has_nothing_to_complain_of(
    embedded: Callable[..., Orchestrator],
) -> None:
    orchestrator = embedded()
    assert orchestrator.submit(str.upper, "x").result(10) == "X"
    assert [str(one) for one in orchestrator.doctor() if one.severity is not Severity.OK] == []


def test_the_command_tells_how_it_is_by_text_by_json_and_by_its_code(healthy: Fleet) -> None:
    cli = Command(healthy.directory, healthy.url, healthy.namespace)
    done = cli.here("doctor")
    assert done.returncode == 0, done
    assert len(done.stdout.splitlines()) == len(CHECKS)
    assert re.search(
        r"^ok  redis\.eviction +maxmemory-policy noeviction$", done.stdout, re.MULTILINE
    )
    assert done.stderr.startswith(f"{len(CHECKS)} ok, 0 warnings, 0 errors.")
    assert cli.ok("doctor", "--quiet") == ""
    document = cli.json("doctor")
    assert (document["severity"], document["namespace"]) == ("ok", healthy.namespace)
    assert [one["id"] for one in document["findings"]] == list(CHECKS)
    # Another namespace of this server has no worker: a warning; with a task an error.
    empty = Command(healthy.directory, healthy.url, f"{healthy.namespace}.two")
    warned = empty.here("doctor", "--quiet")
    assert warned.returncode == 1
    first, second = warned.stdout.splitlines()
    assert first == "warning  workers.alive  no worker is alive"
    assert second.strip().startswith("-> start one: pyagent-orch worker")
    empty.ok("submit", "echo", "x")
    bad = empty.here("doctor", "--json", "--quiet")
    assert bad.returncode == 2
    assert json.loads(bad.stdout)["severity"] == "error"
    assert {one["id"] for one in json.loads(bad.stdout)["findings"]} == {
        "workers.alive",
        "queues.served",
    }
    ignored = empty.here("doctor", "--ignore", "workers.alive", "--ignore", "queues.served")
    assert ignored.returncode == 0
    assert "workers.alive" not in ignored.stdout
    unknown = empty.here("doctor", "--ignore", "redis.colour")
    assert unknown.returncode == 2
    assert "redis.eviction" in unknown.stderr


def test_the_page_explains_every_check_and_no_other() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    rows = re.findall(r"^\| `([a-z.]+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    assert [check for check, _, _ in rows] == list(CHECKS)
    for check, looks_at, remedy in rows:
        assert len(looks_at) > 20, check
        assert len(remedy) > 10, check


def test_the_example_of_the_page_runs() -> None:
    page = (ROOT / "docs" / "doctor.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    exec(compile(code, "docs/doctor.md", "exec"), {"__name__": "page"})
