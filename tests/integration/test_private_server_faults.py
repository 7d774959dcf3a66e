"""The private server when something around it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from pyagent_orch.embedded.server import PrivateServer
from tests.support.server_user import (
    ROOT,
    ServerUser,
    answers,
    becomes_true,
    holder_of,
    is_running,
    processes_of,
    run,
)

pytestmark = pytest.mark.faults


def test_when_the_only_user_is_killed_nothing_is_left():
    with ServerUser() as user:
        directory, processes = user.directory, processes_of(user)
        assert all(map(is_running, processes))
        user.kill()
        assert becomes_true(lambda: not any(map(is_running, processes)))
        assert not directory.exists()


def test_when_the_starter_is_killed_the_other_user_keeps_the_server(tmp_path):
    with ServerUser(directory=tmp_path / "d") as starter, PrivateServer(tmp_path / "d") as server:
        processes = processes_of(server)
        starter.kill()
        # Longer than the watcher takes to see that somebody left.
        assert not becomes_true(lambda: not answers(server.url), 1)
        assert processes_of(server) == processes
    assert not any(map(is_running, processes))


def test_when_the_thread_that_started_it_ends_the_server_stays():
    server = PrivateServer()
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert not becomes_true(lambda: not answers(server.url), 1)
    finally:
        server.close()


def test_a_killed_server_comes_back_with_its_data_again_and_again(tmp_path):
    with PrivateServer(tmp_path / "d", persistent=True) as server:
        for round_ in range(3):
            assert run(server.url, "INCR", "rounds") == round_ + 1
            killed = holder_of(server.directory, "server.lock")
            os.kill(killed, signal.SIGKILL)
            assert becomes_true(lambda killed=killed: not is_running(killed))
            assert becomes_true(lambda: answers(server.url))
        assert run(server.url, "GET", "rounds") == "3"


def test_ctrl_c_in_the_users_terminal_does_not_reach_the_server():
    with ServerUser() as user:
        processes = processes_of(user)
        os.killpg(user.process.pid, signal.SIGINT)
        assert user.read() == "interrupted"
        assert all(map(is_running, processes))
        assert answers(user.url)
        for pid in processes:
            assert os.getsid(pid) != os.getsid(user.process.pid)


def test_a_forked_child_keeps_the_server_of_its_killed_parent():
    # Forked in a program of its own, since this one has threads.
    program = """
        import os, sys
        from pyagent_orch.embedded.server import PrivateServer
        server = PrivateServer()
        server.start()
        if os.fork():
            print(server.url, server.directory, flush=True)
            os.kill(os.getpid(), 9)
        sys.stdin.readline()
        server.close()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert parent.stdout
    url, directory = parent.stdout.readline().split()
    assert parent.wait() == -signal.SIGKILL
    try:
        assert not becomes_true(lambda: not answers(url), 1)
    finally:
        parent.communicate("leave\n")
    assert becomes_true(lambda: not Path(directory).exists())


def test_a_forked_childs_close_does_not_take_the_server_from_its_parent():
    program = """
        import os
        from pyagent_orch.embedded.server import PrivateServer
        from tests.support.server_user import answers
        with PrivateServer() as server:
            child = os.fork()
            if not child:
                server.close()
                os._exit(0)
            os.waitpid(child, 0)
            print(answers(server.url))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_when_the_watcher_is_killed_the_last_user_ends_the_server():
    server = PrivateServer()
    server.start()
    directory, (watcher, pid) = server.directory, processes_of(server)
    assert directory is not None
    os.kill(watcher, signal.SIGKILL)
    assert becomes_true(lambda: not is_running(watcher))
    assert answers(server.url)
    server.close()
    assert becomes_true(lambda: not is_running(pid), 1)
    assert not directory.exists()


def test_when_the_watcher_and_its_user_are_killed_the_next_user_has_one_server(tmp_path):
    with ServerUser(directory=tmp_path / "d", persistent=True) as user:
        run(user.url, "SET", "key", "value")
        watcher, pid = processes_of(user)
        os.kill(watcher, signal.SIGKILL)
        user.kill()
        assert answers(user.url)
        with PrivateServer(tmp_path / "d", persistent=True) as server:
            assert not is_running(pid)
            assert processes_of(server)[1] != pid
            assert run(server.url, "GET", "key") == "value"


def test_a_watcher_that_is_told_to_end_takes_the_server_with_it():
    server = PrivateServer()
    server.start()
    watcher, pid = processes_of(server)
    os.kill(watcher, signal.SIGTERM)
    assert becomes_true(lambda: not is_running(pid) and not is_running(watcher))
    server.close()


def test_a_process_that_must_reap_orphans_keeps_no_zombie():
    program = """
        import ctypes, os, sys
        from pyagent_orch.embedded.server import PrivateServer
        PR_SET_CHILD_SUBREAPER = 36  # what the first process of a container is by nature
        assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        for _ in range(2):
            with PrivateServer():
                assert os.waitpid(-1, os.WNOHANG) == (0, 0), "the watcher is not a child"
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            print("clean")
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has subreapers")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("clean\n", "")


@pytest.mark.slow
def test_a_server_that_does_not_end_is_killed():
    server = PrivateServer()
    server.start()
    _, pid = processes_of(server)
    os.kill(pid, signal.SIGSTOP)
    server.close()
    assert becomes_true(lambda: not is_running(pid))
