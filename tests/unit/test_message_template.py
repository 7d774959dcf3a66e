"""Our messages are the same whatever an app's plain Celery tasks are sent as."""

from __future__ import annotations

import pytest

from pyagent_orch import Settings, create_app
from pyagent_orch.engine.message import Envelopes, build_message_template


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_the_apps_serializer_is_not_ours(serializer: str) -> None:
    app = create_app(Settings(redis_url="redis://localhost:1"))
    app.conf.task_serializer = serializer
    template = build_message_template(app)
    assert '"content-type": "application/json"' in template.text
    Envelopes(template)
