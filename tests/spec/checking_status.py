# Get task status
status = orch.status(task.id)  # TaskStatus enum
task.wait()

# Get full task details
task = orch.get_task(task.id)
print(task.output)
print(task.started_at)
print(task.completed_at)
