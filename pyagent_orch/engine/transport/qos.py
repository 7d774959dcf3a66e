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

    def in_hand(self) -> int:
        """How many messages are taken and not acknowledged; those that wait ahead, too."""
        return len(self._delivered) - len(self._dirty)

    def can_consume(self) -> bool:
        """Whether there is room; ahead, when half of what may wait is used up."""
        slots = self.prefetch_count
        return not slots or self.in_hand() < slots + self._taker.ahead.limit(slots) / 2

    def can_consume_max_estimate(self) -> int | None:
        """For how many more messages there is room; None: for any number."""
        slots = self.prefetch_count
        if not slots:
            return None
        return max(slots + self._taker.ahead.limit(slots) - self.in_hand(), 0)

    def ack(self, delivery_tag: str) -> None:
        """Let go of a message."""
        self._settle(delivery_tag, requeue=False)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Let go of a message, or put it back. A task of ours needs neither: its record stays."""
        self._settle(delivery_tag, requeue=requeue)

    def _settle(self, tag: str, *, requeue: bool) -> None:
        super().ack(tag)
        way = self.channel.short_way
        if way is not None:
            way.fill()
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
