"""Group commit: acts that several threads call at once travel in one round trip.

Whoever comes first sends what is there at once; what comes while that is on its
way goes together with the next. So nobody waits for company, and under load one
round trip carries as many acts as there are threads. Each act stays atomic by
itself, and nobody goes on before his own is answered.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

Arguments = Sequence[str | int | float]


class _Call:
    """One thread's call, and where it waits for the answer."""

    __slots__ = ("answer", "args", "leads", "turn")

    def __init__(self, args: Arguments) -> None:
        self.args = args
        self.answer: Any = None
        self.leads = False
        self.turn = threading.Lock()
        self.turn.acquire()


class Group:
    """Sends calls in groups. Safe to share between threads; one for each process.

    Args:
        send: sends some calls in one round trip; gives for each its answer or its error.
        most: how many calls travel together.
    """

    def __init__(
        self, send: Callable[[Sequence[Arguments]], Sequence[Any]], most: int = 100
    ) -> None:
        self._send, self._most = send, most
        self._mutex = threading.Lock()
        self._waiting: list[_Call] = []
        self._busy = False

    def run(self, args: Arguments) -> Any:
        """Run one act; returns its answer, or raises its error."""
        call = _Call(args)
        with self._mutex:
            self._waiting.append(call)
            leads, self._busy = not self._busy, True
        if not leads:
            # Either the answer is there, or it is this thread's turn to send.
            try:
                call.turn.acquire()
            except BaseException:
                # A gevent pool ends a run wherever it waits; nobody must wait for it.
                self._desert(call)
                raise
        if leads or call.leads:
            self._lead()
        if isinstance(call.answer, BaseException):
            raise call.answer
        return call.answer

    def _lead(self) -> None:
        """Send what waits, this thread's own call among it; then it is the next one's turn."""
        with self._mutex:
            calls, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            answers = self._send([call.args for call in calls])
        except Exception as error:
            answers = [error] * len(calls)
            raise
        except BaseException:
            # This thread's run is ended; the others', which only went along, are not.
            answers = [ConnectionAbortedError("who sent it was ended")] * len(calls)
            raise
        finally:
            with self._mutex:
                following = self._next_leader()
            if following is not None:
                following.turn.release()
            for call, answer in zip(calls, answers, strict=True):
                call.answer = answer
                call.turn.release()

    def _next_leader(self) -> _Call | None:
        """Choose who sends what waits; with the mutex."""
        following = self._waiting[0] if self._waiting else None
        self._busy = following is not None
        if following is not None:
            following.leads = True
        return following

    def _desert(self, call: _Call) -> None:
        """Wait no longer for an answer; and should it be this one's turn to send, pass it on."""
        with self._mutex:
            if call not in self._waiting:
                # It is on its way.
                return
            self._waiting.remove(call)
            following = self._next_leader() if call.leads else None
        if following is not None:
            following.turn.release()
