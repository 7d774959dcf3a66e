"""Redis dies, freezes, refuses or hangs up: no task lost, none run twice, everybody comes back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.fault_report import Report
from support.raw_server import RawServer
from support.rig import Rig

pytestmark = pytest.mark.faults
LONG = [pytest.mark.long, pytest.mark.slow, pytest.mark.timeout(900)]

Fault = tuple[Callable[[RawServer], object], Callable[[RawServer], object], float]
FAULTS: dict[str, Fault] = {
    # What begins it, what ends it, and how many seconds lie between.
    "killed, append-only file": (RawServer.kill, RawServer.start, 1.5),
    # Longer than the lease of the rig's workers.
    "frozen": (RawServer.freeze, RawServer.thaw, 4.0),
    "connections cut": (
        lambda raw: raw.run("CLIENT", "KILL", "TYPE", "normal"),
        lambda raw: raw.run("CLIENT", "KILL", "TYPE", "pubsub"),
        0.3,
    ),
    "out of memory": (
        lambda raw: raw.run("CONFIG", "SET", "maxmemory", 1),
        lambda raw: raw.run("CONFIG", "SET", "maxmemory", 0),
        1.5,
    ),
    "out of memory, connections cut": (
        lambda raw: (
            raw.run("CONFIG", "SET", "maxmemory", 1),
            raw.run("CLIENT", "KILL", "TYPE", "normal"),
        ),
        lambda raw: raw.run("CONFIG", "SET", "maxmemory", 0),
        1.5,
    ),
    "read-only (a replica)": (
        lambda raw: raw.run("REPLICAOF", "127.0.0.1", 1),
        lambda raw: raw.run("REPLICAOF", "NO", "ONE"),
        1.5,
    ),
    "too few replicas": (
        lambda raw: raw.run("CONFIG", "SET", "min-replicas-to-write", 1),
        lambda raw: raw.run("CONFIG", "SET", "min-replicas-to-write", 0),
        1.5,
    ),
}
QUICK = ("killed, append-only file", "connections cut")


@pytest.mark.parametrize(
    "kind",
    [
        *(pytest.param(kind, id=kind) for kind in QUICK),
        *(pytest.param(kind, id=f"{kind}, many times", marks=LONG) for kind in FAULTS),
    ],
)
def test_tasks_run_once_whatever_redis_does(
    rig: Callable[..., Rig], report: Report, faults: int, kind: str
) -> None:
    begin, end, seconds = FAULTS[kind]
    it = rig(workers=1 if faults == 1 else 2, concurrency=8)
    load = it.begin(pause=0.04)
    for _ in range(faults):
        it.outage(lambda: begin(it.raw), lambda: end(it.raw), seconds)
    account = it.settle()
    report.add(f"Redis {kind}", it.faults, account, it.recoveries)
    # The workers lived on: what ran was not interrupted, and its answer was kept until it
    # could be recorded.
    assert not account.started_again, account.started_again
    assert len(it.living) == it.count
    # connect_timeout + socket_timeout, by default.
    assert load.longest_submit < 6.5


@pytest.mark.parametrize("seconds", [3, 12, 45])
@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_outages_of_redis_at_the_default_settings(
    rig: Callable[..., Rig], report: Report, faults: int, seconds: int
) -> None:
    """Four installations at once, since the time goes in waiting."""
    _many_outages(rig, report, faults, f"Redis stopped {seconds} s, defaults", seconds)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_seconds_of_frozen_redis_at_the_default_settings(
    rig: Callable[..., Rig], report: Report, faults: int
) -> None:
    _many_outages(rig, report, faults, "Redis frozen 10 s, defaults", 10)


def _many_outages(
    rig: Callable[..., Rig], report: Report, faults: int, kind: str, seconds: float
) -> None:
    rigs = [rig(workers=1, env={}) for _ in range(4)]
    for it in rigs:
        it.begin(seconds=(0.5, 5.0), pause=1.0)
    for _ in range(-(-faults // len(rigs))):
        _together(rigs, kind, seconds)
    for it in rigs:
        account = it.settle()
        report.add(kind, it.faults, account, it.recoveries)
        assert not account.started_again, account.started_again
        assert len(it.living) == it.count
        # However long it was away.
        assert max(it.recoveries) < 10


def _together(rigs: list[Rig], kind: str, seconds: float) -> None:
    from concurrent.futures import ThreadPoolExecutor

    frozen = "frozen" in kind
    with ThreadPoolExecutor(len(rigs)) as pool:
        ended = [
            pool.submit(
                it.outage,
                it.raw.freeze if frozen else it.raw.kill,
                it.raw.thaw if frozen else it.raw.start,
                seconds,
            )
            for it in rigs
        ]
        for one in ended:
            one.result()
