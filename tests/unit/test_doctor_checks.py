"""Checks of the doctor on facts that no server here can be brought to."""

from __future__ import annotations

from typing import Any

import pytest

from pyagent_orch import Settings
from pyagent_orch.doctor import CHECKS, Finding, Severity, worst
from pyagent_orch.doctor.finding import Case, Verdict, size, some, span
from pyagent_orch.store.inspect import ExpirySample, NamespaceFacts, ServerFacts, WorkerFacts

INFO = {
    "redis_version": "7.4.1",
    "role": "master",
    "aof_enabled": 1,
    "used_memory": 10**9,
    "total_system_memory": 8 * 10**9,
    "connected_clients": 10,
    "maxclients": 1000,
}
SETTINGS = {"appendfsync": "everysec", "bind": "127.0.0.1", "protected-mode": "yes", "save": ""}


def worker(**options: Any) -> WorkerFacts:
    facts = {
        "lease_id": "w:1",
        "name": "w@h",
        "info": {"queues": ["agents"], "agents": []},
        "lease_seconds": 5.0,
        "seen_seconds": 0.5,
        "clock_skew_seconds": 0.0,
    }
    return WorkerFacts(**(facts | options))


def judge(
    check: str, info: dict[str, Any] | None = None, namespace: Any = None, **server: Any
) -> Verdict:
    facts: dict[str, Any] = {
        "label": "cache:6379", "is_local": False, "is_encrypted": False,
        "info": INFO | (info or {}), "settings": SETTINGS, "lets_anyone_in": False,
        "user": "agents",
    }  # fmt: skip
    case = Case(Settings(), ServerFacts(**(facts | server)), namespace or NamespaceFacts())
    return CHECKS[check](case)


@pytest.mark.parametrize(
    ("check", "info", "severity", "word"),
    [
        ("redis.version", {"redis_version": "6.0.16"}, "error", "6.0.16"),
        ("redis.version", {"redis_version": "6.2.0"}, "ok", "6.2.0"),
        ("redis.version", {"redis_version": "7.2.4", "valkey_version": "8.1.0"}, "ok", "8.1.0"),
        ("redis.version", {"redis_version": "10.0.0"}, "ok", "10.0"),
        ("redis.persistence", {"aof_last_write_status": "err"}, "error", "disk"),
        ("redis.persistence", {"aof_last_bgrewrite_status": "err"}, "error", "rewritten"),
        ("redis.memory", {"used_memory": 7 * 10**9}, "warning", "machine"),
        ("redis.memory", {"used_memory": 7.9 * 10**9}, "error", "RECORD_TTL"),
        ("redis.memory", {"total_system_memory": 0}, "ok", "1.0 GB"),
    ],
)
def test_what_info_tells_is_judged(
    check: str, info: dict[str, Any], severity: str, word: str
) -> None:
    verdict = judge(check, info)
    assert verdict.severity == severity
    assert word in f"{verdict.what} {verdict.remedy}"


@pytest.mark.parametrize(
    ("seconds", "severity", "word"),
    [(0.4, "ok", "agree"), (-1.5, "warning", "1.5 s behind"), (90.0, "error", "90 s ahead")],
)
def test_a_skewed_clock_is_judged_by_how_far_it_is_off(
    seconds: float, severity: str, word: str
) -> None:
    verdict = judge("redis.clock", clock_skew_seconds=seconds, round_trip_seconds=0.01)
    assert verdict.severity == severity
    assert word in verdict.what


def test_a_slow_answer_is_no_skewed_clock() -> None:
    verdict = judge("redis.clock", clock_skew_seconds=1.5, round_trip_seconds=2.0)
    assert verdict.severity == "ok"
    assert judge("redis.latency", round_trip_seconds=0.2).severity == "warning"
    assert judge("redis.latency", round_trip_seconds=0.002).severity == "ok"


@pytest.mark.parametrize(
    ("facts", "severity", "word"),
    [
        ({}, "warning", "clear text"),
        ({"is_encrypted": True}, "ok", "password"),
        ({"is_local": True}, "ok", "password"),
        ({"lets_anyone_in": True}, "error", "cache:6379"),
        ({"lets_anyone_in": True, "is_local": True}, "ok", "only this machine"),
        ({"lets_anyone_in": True, "is_local": True, "settings": {}}, "ok", "only this machine"),
        (
            {"lets_anyone_in": True, "is_local": True,
             "settings": {"bind": "* -::*", "protected-mode": "no"}},
            "error", "requirepass",
        ),
        (
            {"lets_anyone_in": True, "is_local": True,
             "settings": {"bind": "* -::*", "protected-mode": "yes"}},
            "ok", "only this machine",
        ),
        ({"lets_anyone_in": None}, "ok", "could not be tried"),
    ],
)  # fmt: skip
def test_who_gets_in_is_judged_by_where_the_server_is(
    facts: dict[str, Any], severity: str, word: str
) -> None:
    verdict = judge("redis.access", **facts)
    assert verdict.severity == severity, verdict
    assert word in f"{verdict.what} {verdict.remedy}"


def test_what_a_managed_server_hides_is_no_error() -> None:
    verdict = judge("redis.persistence", {"aof_enabled": 0}, settings={})
    assert verdict.severity == "warning"
    assert "does not say" in verdict.what
    assert judge("redis.persistence", settings={}).severity == "ok"


def test_a_fleet_that_heals_nothing_is_an_error() -> None:
    facts = NamespaceFacts(workers=[worker()], swept_seconds=45.0)
    verdict = judge("workers.heartbeats", namespace=facts)
    assert verdict.severity == "error"
    assert "45 s" in verdict.what
    # Without a living worker that is no news.
    gone = NamespaceFacts(workers=[worker(lease_seconds=-60.0)], swept_seconds=45.0)
    assert judge("workers.heartbeats", namespace=gone).severity == "ok"


@pytest.mark.parametrize(
    ("record", "result", "severity"),
    [(5000.0, 5010.0, "ok"), (None, 5000.0, "warning"), (5000.0, 90_000.0, "warning")],
)
def test_an_expiry_is_judged_by_what_the_settings_say(
    record: float | None, result: float, severity: str
) -> None:
    sample = ExpirySample("t", 5000.0, record, has_result=True, result_seconds=result)
    assert judge("results.expiry", namespace=NamespaceFacts(expiry=[sample])).severity == severity


def test_an_empty_installation_is_judged_by_every_check() -> None:
    for check in CHECKS:
        assert judge(check).what


def test_the_worst_finding_decides() -> None:
    ok, warning, error = (Finding("x.y", severity, "so") for severity in Severity)
    assert worst([]) is Severity.OK
    assert worst([ok, warning]) is Severity.WARNING
    assert worst([error, warning, ok]) is Severity.ERROR
    assert str(Finding("x.y", Severity.ERROR, "bad", "mend it")) == "error: x.y: bad -> mend it"


def test_names_spans_and_sizes_are_short() -> None:
    assert some("gfedcbaa") == "a, b, c, d, e and 2 more"
    assert [span(n) for n in (0.25, 45, 119, 150, 8000, 200_000)] == [
        "0.2 s", "45 s", "119 s", "2 min", "2 h", "2 d",
    ]  # fmt: skip
    assert [size(n) for n in (12, 2_500, 3 * 10**9)] == ["12 B", "2.5 kB", "3.0 GB"]
