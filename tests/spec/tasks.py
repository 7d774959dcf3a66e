from pyagent_orch import Task, TaskStatus

task = Task(
    id="task-001",
    name="Research Task",
    agent=my_agent,
    input="Research topic",
    status=TaskStatus.PENDING,
    priority=1,
    metadata={"category": "research"}
)
