"""Redis that is wrong, down, frozen or full: one clear error within 5 s, without a password."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyagent_orch import (
    ConfigurationError,
    Orchestrator,
    OrchestratorConnectionError,
    Task,
    TaskTimeoutError,
)
from support.calls import CALLS
from support.fleet import until
from support.fleet_agents import echo
from support.raw_server import PASSWORD, RawServer


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[RawServer]:
    with RawServer(tmp_path) as server:
        yield server


# --- Redis that is wrong, down, frozen ---------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:6379",
        f"http://:{PASSWORD}@localhost",
        f"redis://:{PASSWORD}@localhost:port",
        f"redis://:{PASSWORD}@localhost:99999",
        f"redis://:{PASSWORD}@localhost/zero",
        f"redis://:12/{PASSWORD}@localhost",
        f"redis://:{PASSWORD}@[::1",
        f"redis://:{PASSWORD}@localhost/0?socket_timeout={PASSWORD}",
        "unix://",
    ],
)
def test_a_wrong_url_is_refused_when_the_orchestrator_is_built(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Orchestrator(redis_url=url)
    told = "".join(traceback.format_exception(caught.value))
    assert "redis_url" in str(caught.value)
    assert PASSWORD not in told


def assert_told(act: Callable[[], object], place: str) -> OrchestratorConnectionError:
    """It raises the one error, within 5 s, that names the place and no password."""
    began = time.monotonic()
    with pytest.raises(OrchestratorConnectionError) as caught:
        act()
    assert time.monotonic() - began < 5
    told = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in told
    assert place in str(caught.value)
    assert isinstance(caught.value, ConnectionError)
    return caught.value


@pytest.mark.parametrize("call", CALLS)
def test_redis_that_is_down_at_the_start_is_told(tmp_path: Path, call: str) -> None:
    nobody = RawServer(tmp_path)
    with Orchestrator(redis_url=nobody.url) as orch:
        assert_told(lambda: CALLS[call](orch), f"127.0.0.1:{nobody.port}")


@pytest.mark.parametrize(
    "place", ["127.0.0.1:1", "no-such-host.invalid:6379", "/nowhere/redis.sock"]
)
def test_a_place_without_a_redis_is_named(place: str) -> None:
    url = f"unix://:{PASSWORD}@{place}" if place[0] == "/" else f"redis://u:{PASSWORD}@{place}/0"
    with Orchestrator(redis_url=url) as orch:
        assert_told(lambda: orch.submit(echo, "x"), place)


def test_a_wrong_password_is_told_without_it(raw: RawServer) -> None:
    url = f"redis://user:{PASSWORD}-wrong@127.0.0.1:{raw.port}"
    with Orchestrator(redis_url=url) as orch:
        assert "refuses the login" in str(assert_told(orch.start, f"127.0.0.1:{raw.port}"))


def test_no_password_is_told_as_such(raw: RawServer) -> None:
    with Orchestrator(redis_url=f"redis://127.0.0.1:{raw.port}") as orch:
        assert_told(orch.start, f"127.0.0.1:{raw.port}")


def test_redis_that_goes_down_in_the_middle_is_told_and_comes_back(
    raw: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    with Orchestrator(redis_url=raw.url) as orch:
        seen: list[Task] = []
        first = orch.submit(echo, "x", id="one", callback=seen.append)
        raw.kill()
        for call in CALLS:
            if call not in ("on", "submit with callback"):  # these only need what is open
                assert_told(lambda call=call: CALLS[call](orch), f"127.0.0.1:{raw.port}")  # type: ignore[misc]
        with pytest.raises(TaskTimeoutError):
            first.wait(timeout=0.1)
        raw.start()
        # Nothing has to be built anew, and nothing is lost.
        assert orch.cancel("one")
        first.wait(timeout=15)
        until(lambda: seen == [first])
    assert PASSWORD not in caplog.text
    warned = [r for r in caplog.records if "event stream is out of reach" in r.message]
    assert len(warned) == 1


def test_frozen_redis_is_told_within_five_seconds(raw: RawServer) -> None:
    place = f"127.0.0.1:{raw.port}"
    warm = {call: Orchestrator(redis_url=raw.url) for call in CALLS}
    cold = {call: Orchestrator(redis_url=raw.url) for call in CALLS}
    for orch in warm.values():
        orch.start()
    raw.freeze()
    try:
        with ThreadPoolExecutor(2 * len(CALLS)) as pool:
            told = [
                pool.submit(assert_told, lambda call=call, orch=orch: CALLS[call](orch), place)  # type: ignore[misc]
                for group in (warm, cold)
                for call, orch in group.items()
            ]
            for future in told:
                future.result()
    finally:
        raw.thaw()
    assert orch.start().tasks() == []
    for orch in (*warm.values(), *cold.values()):
        orch.close()


def test_closing_while_redis_is_frozen_takes_seconds_and_no_error(
    raw: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    orch = Orchestrator(redis_url=raw.url)
    orch.on("task.*", print)
    orch.on("task.*", print, durable="group")
    raw.freeze()
    began = time.monotonic()
    orch.close()
    assert time.monotonic() - began < 10
    raw.thaw()
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


def test_a_full_redis_is_told_as_refusing(raw: RawServer) -> None:
    with Orchestrator(redis_url=raw.url) as orch:
        orch.start()
        raw.run("CONFIG", "SET", "maxmemory", 1)
        error = assert_told(lambda: orch.submit(echo, "x"), f"127.0.0.1:{raw.port}")
        assert "it refuses" in str(error)
        raw.run("CONFIG", "SET", "maxmemory", 0)
        assert orch.submit(echo, "x").status == "pending"


def test_the_repr_of_what_knows_the_password_does_not_show_it(raw: RawServer) -> None:
    with Orchestrator(redis_url=raw.url) as orch:
        orch.start()
        for thing in (orch, orch.settings, orch._store.address, orch._connection):
            assert PASSWORD not in repr(thing)
            assert PASSWORD not in str(thing)
