from pyagent_orch import Orchestrator, Task, AgentPatterns
from pyagent_orch import agent

# Create orchestrator
orch = Orchestrator()

# Submit a simple task
task = orch.submit(
    agent=agent("You are a researcher"),
    input="Research quantum computing trends",
    priority=1
)
task.wait()

# Check status
print(orch.status(task.id))  # COMPLETED
print(task.output)  # Research results
