"""The private server while its users and itself are killed again and again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyagent_orch.embedded.server import PrivateServer
from tests.support.server_user import ROOT, holder_of, run

pytestmark = [pytest.mark.faults, pytest.mark.slow]

_PROGRAM = """
import os, random, sys, time
from pathlib import Path
import redis
from pyagent_orch.embedded.server import PrivateServer

chance = random.Random(int(sys.argv[2]))
server = PrivateServer(Path(sys.argv[1]), persistent=True)
server.start()
client = redis.from_url(server.url)
for _ in range(chance.randrange(50, 800)):
    for _ in range(1000):
        try:
            client.incr("counter")
            os.write(1, b"x")
            break
        except redis.RedisError:
            time.sleep(0.01)
    else:
        sys.exit("the server did not come back")
    time.sleep(0.001)
if chance.random() < 0.5:
    os.kill(os.getpid(), 9)
client.close()
server.close()
"""


def kill_server(directory: Path) -> bool:
    """Kill the server that runs in the directory, if one runs just now."""
    try:
        pid = holder_of(directory, "server.lock")
    except (FileNotFoundError, ValueError):
        return False
    # The file keeps the id of a server that has ended; it may be anybody's now.
    command = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    if str(directory) not in command or "server" not in command:
        return False
    os.kill(pid, signal.SIGKILL)
    return True


def test_no_answered_write_is_lost_while_users_and_servers_are_killed(tmp_path):
    seed = random.randrange(10**6)
    directory = tmp_path / "d"
    users: list[subprocess.Popen[bytes]] = []
    started = answered = kills = 0
    deadline = time.monotonic() + 8
    try:
        while users or time.monotonic() < deadline:
            while len(users) < 3 and time.monotonic() < deadline:
                started += 1
                arguments = [str(directory), str(seed + started)]
                users.append(
                    subprocess.Popen(
                        [sys.executable, "-c", _PROGRAM, *arguments],
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        cwd=ROOT,
                    )
                )
            if time.monotonic() < deadline:
                kills += kill_server(directory)
            try:
                output, errors = users[0].communicate(timeout=0.4)
            except subprocess.TimeoutExpired:
                continue
            assert users[0].returncode in {0, -signal.SIGKILL}, (seed, errors.decode())
            answered += len(output)
            del users[0]
    finally:
        for user in users:
            user.kill()
            user.communicate()
    with PrivateServer(directory, persistent=True) as server:
        # A write whose answer a kill swallowed counts too, so there may be more.
        assert int(run(server.url, "GET", "counter")) >= answered > 0, seed
    assert kills >= 3
    assert started > 3
