"""The contenders, one file each. The first one is what the others are measured against."""

from benchmarks.contender import Contender
from benchmarks.contenders.floor import Floor
from benchmarks.contenders.peer import PEERS
from benchmarks.contenders.plain_celery import PlainCelery
from benchmarks.contenders.pyagent import PyAgentOrch


def chosen_contenders(*, peers: bool, floor: bool) -> tuple[type[Contender], ...]:
    """Plain Celery first, ours last.

    Args:
        peers: whether the other task queues are measured, too.
        floor: whether a bare loop of our acts is.
    """
    return (PlainCelery, *(PEERS if peers else ()), *((Floor,) if floor else ()), PyAgentOrch)
