"""A handler that keeps what it is given."""

from __future__ import annotations

from typing import Any

from support.fleet import until


class Heard(list[Any]):
    """A handler that keeps what it is given."""

    def __call__(self, argument: Any) -> None:
        self.append(argument)

    def until(self, count: int) -> list[Any]:
        until(lambda: len(self) >= count)
        return list(self)
