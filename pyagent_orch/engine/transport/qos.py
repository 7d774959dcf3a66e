"""How many messages a worker may have, and what their acknowledgement means with a taker."""

from __future__ import annotations

from typing import Any

from kombu.transport import virtual

from pyagent_orch.engine.transport.taker import Taker


class TakerQoS(virtual.QoS):
    """kombu's count of what is in hand; Redis hears of acknowledgements by the taker."""

    def __init__(self, channel: Any, taker: Taker, prefetch_count: int = 0) -> None:
        super().__init__(channel, prefetch_count)
        self._taker = taker

    def ack(self, delivery_tag: str) -> None:
        """Let go of a message."""
        self._settle(delivery_tag, requeue=False)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Let go of a message, or put it back. A task of ours needs neither: its record stays."""
        self._settle(delivery_tag, requeue=requeue)

    def _settle(self, tag: str, *, requeue: bool) -> None:
        super().ack(tag)
        taker = self._taker
        if tag not in taker.holding:
            return
        if requeue:
            taker.give_back(tag)
        else:
            taker.done(tag)
        if self.channel.idle:
            # Nothing is taken soon that could tell it along.
            taker.settle()
