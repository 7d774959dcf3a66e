"""One command to the private server over its socket, without a client library.

Part of the embedded room; standard library only. For the few words that the
server's start and end need; everything else goes through `store/`.
"""

from __future__ import annotations

import socket
from pathlib import Path


def ask(path: Path, command: str, *, timeout_seconds: float = 1.0) -> str:
    """Send one command and return its answer.

    Args:
        path: the server's socket.
        command: words separated by spaces, such as `INFO server`.
        timeout_seconds: for the connection and for each part of the answer.

    Returns:
        The text of a bulk answer; else the first line with its type, such as
        `+PONG` or `-LOADING ...`; empty when the server hung up.

    Raises:
        OSError: nobody listens there, or no answer came in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        connection.connect(str(path))
        connection.sendall(f"{command}\r\n".encode())
        with connection.makefile("rb") as answer:
            line = answer.readline().strip()
            if line.startswith(b"$"):
                line = answer.read(max(int(line[1:]), 0))
    return line.decode("utf-8", "replace")
