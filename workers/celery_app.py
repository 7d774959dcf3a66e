"""The Celery app of a fleet, made from the environment (`PYAGENT_ORCH_*`).

Read here and nowhere else at import: this module is a program's edge, which
`celery -A workers.celery_app` imports to start.
"""

import os
import sys

from pyagent_orch import tracing
from pyagent_orch.config import Settings
from pyagent_orch.engine.app import create_app
from pyagent_orch.engine.logs import json_lines
from workers import agents, flower

settings = Settings.from_env()
if settings.log_format == "json":
    # Here, where it is an error that stops the program; Celery swallows one in its log's set-up.
    json_lines()
if settings.traces:
    tracing.export("pyagent-orch")
flower.warn_if_open(sys.argv[1:], os.environ)
agents.load(settings)
app = create_app(settings)
