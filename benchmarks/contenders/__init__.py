"""The contenders, one file each. The first one is what the others are measured against."""

from benchmarks.contender import Contender
from benchmarks.contenders.peer import PEERS
from benchmarks.contenders.plain_celery import PlainCelery
from benchmarks.contenders.pyagent import PyAgentOrch

CONTENDERS: tuple[type[Contender], ...] = (PlainCelery, PyAgentOrch)

ALL: tuple[type[Contender], ...] = (PlainCelery, *PEERS, PyAgentOrch)
"""With the other task queues between them; ours stays the last."""
