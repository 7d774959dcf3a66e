"""The agent of the web examples: it writes a story word by word, as a model would."""

import os
import time

from pyagent_orch import current_run, register_agent

PACE = float(os.environ.get("STORY_PACE", "0.02"))
"""Seconds for each word."""
STORY = (
    "Once there was {topic}. Nobody knew where it had come from, and nobody asked. "
    "One night it found a letter - unsigned, unread - and everything changed."
)


@register_agent
def storyteller(topic: str) -> str:
    """A story about a topic."""
    story = STORY.format(topic=topic)
    for word in story.split(" "):
        current_run().write(word + " ")
        # A model takes its time, too.
        time.sleep(PACE)
    return story + " "
