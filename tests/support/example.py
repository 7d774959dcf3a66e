"""An example of the folder `examples` as a reader runs it: started, used, stopped by Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from support.fleet import ROOT

EXAMPLES = ROOT / "examples"


@contextmanager
def running(example: str, folder: Path, **variables: str) -> Iterator[httpx.Client]:
    """An example on a free port, until Ctrl-C; with variables of the environment."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYAGENT_ORCH_")}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(EXAMPLES / example)], cwd=folder,
            env=environment | variables | {"PYTHONPATH": str(ROOT), "PORT": str(port)},
            stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            deadline = time.monotonic() + 30
            while True:
                try:
                    client.get("/")
                    break
                except httpx.ConnectError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
            yield client
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in {0, -signal.SIGINT, 130}, log.read_text()
        assert "Traceback" not in log.read_text().replace("KeyboardInterrupt", "")
    finally:
        process.kill()
        process.wait()
