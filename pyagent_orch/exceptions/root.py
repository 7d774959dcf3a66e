"""The root of the tree, and what is wrong with a setting.

Ground layer, standard library only; see the room for how errors are built.
"""

from __future__ import annotations


class PyAgentOrchError(Exception):
    """The root of every error that this package raises on purpose."""


class ConfigurationError(PyAgentOrchError, ValueError):
    """A setting is missing or wrong.

    Args:
        setting: the name of the setting, as the user wrote it.
        problem: what is wrong with it and what to do.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(setting, problem)
        self.setting, self.problem = setting, problem

    def __str__(self) -> str:
        return f"{self.setting}: {self.problem}"
