"""The ACL users of docs/reliability.md, as somebody sets them who has read the page."""

from __future__ import annotations

import re

from support.fleet import ROOT
from support.raw_server import RawServer


def add_user(server: RawServer, user: str) -> str:
    """Make a user of the page on a server; returns the URL with its login."""
    page = (ROOT / "docs" / "reliability.md").read_text()
    rule = re.search(rf"^ACL SETUSER {user} ((?:.*\\\n)*.*)$", page, re.MULTILINE)
    assert rule is not None, user
    words = rule[1].replace("\\\n", " ").replace("<password>", f"{user}-password").split()
    server.run("ACL", "SETUSER", user, *words)
    return f"redis://{user}:{user}-password@127.0.0.1:{server.port}/0"
