"""Other task queues on Redis, each in a virtual environment and processes of its own.

A file for each library: its tasks, its worker's command and its client. They import that library
and the standard library, nothing of ours: see `contenders/peer.py` for who speaks with them.
"""

from collections.abc import Mapping, Sequence

REQUIREMENTS: Mapping[str, Sequence[str]] = {
    "dramatiq": ["dramatiq[redis]"],
    "taskiq": ["taskiq", "taskiq-redis"],
    "huey": ["huey[redis]"],
    "arq": ["arq"],
    "streaq": ["streaq"],
    "rq": ["rq"],
}
"""What pip installs for each."""
