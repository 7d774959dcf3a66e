from pyagent_orch import Workflow

workflow = Workflow(
    id="workflow-001",
    name="Research Pipeline",
    tasks=[task1, task2, task3],
    dependencies={
        "task2": ["task1"],  # task2 waits for task1
        "task3": ["task1", "task2"]  # task3 waits for both
    }
)

# Submit workflow
orch.submit_workflow(workflow)
