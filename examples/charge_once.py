"""Charged once, though the worker is killed after the charge and the task runs again.

    python examples/charge_once.py

A payment service (a real HTTP server, on loopback) and a worker process of its own. The
agent takes money and then has more to do; there the worker is killed with SIGKILL. The
task runs again on the next worker, which asks for the same charge under the same key, and
the service answers with the charge that it has. Needs `pip install 'pyagent-orch[embedded]'`,
or a Redis in PYAGENT_ORCH_REDIS_URL.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

from pyagent_orch import Orchestrator, current_run, register_agent
from pyagent_orch.embedded.server import PrivateServer

# --- what a user writes: an agent with a side effect ----------------------------------------


@register_agent
def charge_and_confirm(order: dict[str, Any]) -> str:
    """Take the money for an order, then write the confirmation."""
    run = current_run()
    if run is None:
        raise RuntimeError("call it as a task: the run is what knows the key")
    # The same in each attempt: to the payment service all of them are one request.
    charge = post(
        order["service"], {"amount": order["amount"]}, headers={"Idempotency-Key": run.run_key}
    )
    time.sleep(order["writing_seconds"])  # a model writes; here the first worker is killed
    return f"Order {order['number']}: charged {order['amount']} as {charge['id']}"


def post(url: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """Send JSON and return the JSON of the answer."""
    request = Request(url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310 - ours
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - ours
        found: dict[str, Any] = json.load(answer)
    return found


# --- what is outside: a payment service that knows idempotency keys -------------------------


class PaymentService(ThreadingHTTPServer):
    """Charges once for each `Idempotency-Key`, as such services do."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Counter)
        self.charges: dict[str, dict[str, Any]] = {}
        self.requests = 0
        self.first_charge = threading.Event()
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where charges are asked for."""
        return f"http://127.0.0.1:{self.server_port}/charges"


class _Counter(BaseHTTPRequestHandler):
    server: PaymentService

    def do_POST(self) -> None:
        """Charge, or answer with the charge that this key has."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Idempotency-Key"]
        with self.server.lock:
            self.server.requests += 1
            made = {"id": f"charge-{len(self.server.charges) + 1}", "amount": body["amount"]}
            charge = self.server.charges.setdefault(key, made)
        answer = json.dumps(charge).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.server.first_charge.set()

    def log_message(self, *_: object) -> None:
        """Say nothing; `main` tells."""


# --- the scene ------------------------------------------------------------------------------


@contextmanager
def worker(url: str, namespace: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process that has this file's agent; killed at the end if it still runs."""
    environment = {
        **os.environ,
        "PYAGENT_ORCH_REDIS_URL": url,
        "PYAGENT_ORCH_NAMESPACE": namespace,
        # Low, so that nobody has to watch for ten seconds how a dead worker is found.
        "PYAGENT_ORCH_LEASE_SECONDS": "2",
        "PYAGENT_ORCH_HEARTBEAT_SECONDS": "0.5",
    }
    program = Path(sys.executable).with_name("pyagent-orch")
    options = ["--agents", Path(__file__).stem, "--concurrency", "1", "--log-level", "error"]
    process = subprocess.Popen(  # noqa: S603 - our own command
        [program, "worker", *options],
        cwd=Path(__file__).parent,
        env=environment,
        stdout=subprocess.DEVNULL,  # Celery's banner
        process_group=0,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def scene(url: str) -> None:
    """Submit an order, kill the worker after the charge, let another one go on."""
    service = PaymentService()
    namespace = f"charge-once-{uuid4().hex[:6]}"
    with Orchestrator(redis_url=url, namespace=namespace) as orchestrator:
        order = {"number": 7, "amount": 120, "service": service.url, "writing_seconds": 1}
        # `key`: who presses "buy" twice gets one task.
        task = orchestrator.submit("charge_and_confirm", order, key="order-7")
        again = orchestrator.submit("charge_and_confirm", order, key="order-7")
        print(f"two submits, one task: {task.id == again.id}")
        with worker(url, namespace) as first:
            if not service.first_charge.wait(60):
                raise SystemExit("the first worker has not come to the charge")
            os.killpg(first.pid, signal.SIGKILL)
            print("charged; the worker is killed before it is done")
        with worker(url, namespace):
            print(task.result(timeout=60))
        print(f"attempts: {orchestrator.get_task(task.id).attempts}")
    print(f"requests to the payment service: {service.requests}")
    print(f"charges: {len(service.charges)}, keys: {', '.join(service.charges)}")
    service.shutdown()
    service.server_close()


def main() -> None:
    """Play the scene on the fleet's Redis, or on a private server."""
    url = os.environ.get("PYAGENT_ORCH_REDIS_URL")
    if url:
        scene(url)
        return
    with PrivateServer() as server:
        scene(server.broker_url)


if __name__ == "__main__":
    main()
