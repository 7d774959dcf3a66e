"""A store in a child that was forked while another thread made a part of a store."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from pyagent_orch.store.store import Store


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="cached properties have no lock any more")
def test_a_forked_child_does_not_wait_for_a_thread_that_it_has_not() -> None:
    lock = vars(Store)["client"].lock
    held, over = threading.Event(), threading.Event()

    def make() -> None:
        with lock:
            held.set()
            over.wait(10)

    thread = threading.Thread(target=make)
    thread.start()
    assert held.wait(10)
    child = os.fork()
    if not child:
        os._exit(0 if vars(Store)["client"].lock.acquire(blocking=False) else 1)
    _, status = os.waitpid(child, 0)
    over.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
