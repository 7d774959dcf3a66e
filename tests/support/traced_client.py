"""A program with spans of its own that submits a task and a workflow, and waits for both.

python -m support.traced_client MODEL
"""

from __future__ import annotations

import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from pyagent_orch import Orchestrator, RetryPolicy, Settings, Task, Workflow, agent

provider = TracerProvider(resource=Resource({"service.name": "backend"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
writer = agent("You write", name="writer", model=sys.argv[1])
with Orchestrator(settings=Settings.from_env(traces=True)) as orch:
    with trace.get_tracer("backend").start_as_current_span("POST /articles"):
        single = orch.submit(writer, "A secret prompt", id="single", name="article")
        given = Task("echo", ["a", "b"], name="given")
        each = Task("echo", "{item}", name="each", map=given)
        flow = orch.submit_workflow(Workflow(id="flow", name="spread", tasks=[given, each]))
    orch.submit("fail", "secret text", name="broken", retry=RetryPolicy(max_attempts=1)).wait(20)
    single.wait(timeout=30)
    flow.wait(timeout=30)
    assert single.status == "completed", single.error
provider.shutdown()
