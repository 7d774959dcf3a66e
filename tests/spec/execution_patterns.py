from pyagent_orch import ExecutionPattern

# Sequential: One task at a time
orch.submit_workflow(workflow, pattern=ExecutionPattern.SEQUENTIAL)

# Parallel: All independent tasks at once
orch.submit_workflow(workflow, pattern=ExecutionPattern.PARALLEL)

# Supervisor: One agent coordinates others
orch.submit_workflow(workflow, pattern=ExecutionPattern.SUPERVISOR)

# Collaborative: Agents work together on shared output
orch.submit_workflow(workflow, pattern=ExecutionPattern.COLLABORATIVE)
