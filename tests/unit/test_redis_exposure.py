"""Which Redis URLs let strangers in, as far as a URL tells."""

from __future__ import annotations

import pytest

from pyagent_orch.store import parse_address


@pytest.mark.parametrize(
    "url",
    [
        "redis://redis:6379/0",
        "redis://10.0.0.7/0",
        "redis://user@redis.example/0",
        "rediss://redis.example:6380/0",
        "redis://[2001:db8::1]:6379/0",
        "sentinel://one:26379;sentinel://two:26379/0?master=m",
        "sentinel://127.0.0.1:26379;sentinel://two:26379/0?master=m",
    ],
)
def test_a_url_of_another_machine_without_a_password_is_exposed(url: str) -> None:
    assert parse_address(url).is_exposed


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost/0",
        "redis:///0",
        "redis://127.0.0.1:6379/0",
        "redis://127.3.2.1:6379/0",
        "redis://[::1]:6379/0",
        "unix:///run/redis.sock?db=0",
        "redis+socket:///run/redis.sock",
        "redis://:secret@redis:6379/0",
        "redis://redis:6379/0?password=secret",
        "rediss://redis.example:6380/0?ssl_certfile=/c.pem&ssl_keyfile=/k.pem",
        "sentinel://:secret@one:26379;sentinel://two:26379/0?master=m",
        "sentinel://127.0.0.1:26379/0?master=m",
    ],
)
def test_a_url_of_this_machine_or_with_a_secret_is_not(url: str) -> None:
    assert not parse_address(url).is_exposed
