from pyagent_orch import Workflow, Task

# Create tasks
gather_task = Task(
    name="Gather Sources",
    agent=researcher,
    input="Find sources on topic X"
)

analyze_task = Task(
    name="Analyze Sources",
    agent=analyst,
    input=lambda: f"Analyze: {gather_task.output}"
)

write_task = Task(
    name="Write Report",
    agent=writer,
    input=lambda: f"Write report based on: {analyze_task.output}"
)

# Create workflow
workflow = Workflow(
    name="Research Pipeline",
    tasks=[gather_task, analyze_task, write_task],
    dependencies={
        "Analyze Sources": ["Gather Sources"],
        "Write Report": ["Analyze Sources"]
    }
)

# Execute
orch.submit_workflow(workflow)
