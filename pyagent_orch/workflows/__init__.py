"""Workflows: what users build, the plan it becomes, and the flows that decide at run time.

Above the agents, below everything that knows Redis or Celery.
"""

from pyagent_orch.workflows.flows import (
    Done,
    Expand,
    Flow,
    FlowCall,
    HasFlow,
    Turn,
    as_flow,
    run_flow,
)
from pyagent_orch.workflows.home import WorkflowHome
from pyagent_orch.workflows.plan import Plan, PlannedTask, plan_workflow
from pyagent_orch.workflows.record import WorkflowRecord
from pyagent_orch.workflows.workflow import Workflow

__all__ = [
    "Done",
    "Expand",
    "Flow",
    "FlowCall",
    "HasFlow",
    "Plan",
    "PlannedTask",
    "Turn",
    "Workflow",
    "WorkflowHome",
    "WorkflowRecord",
    "as_flow",
    "plan_workflow",
    "run_flow",
]
