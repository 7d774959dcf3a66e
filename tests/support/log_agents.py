"""An agent that logs as users do, also from a thread of its own."""

from __future__ import annotations

import asyncio
import logging

from pyagent_orch import register_agent

logger = logging.getLogger("users.own")


@register_agent
def talk(text: str) -> str:
    logger.warning("I say %s", text, extra={"colour": "red"})
    return text


@register_agent
async def talk_later(text: str) -> str:
    await asyncio.to_thread(logger.warning, "later %s", text)
    return text


@register_agent
def stumble(text: str) -> None:
    try:
        int(text)
    except ValueError:
        logger.exception("stumbled")
