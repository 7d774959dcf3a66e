# Submit single task
task = orch.submit(
    agent=my_agent,
    input="Process this data",
    priority=1,
    metadata={"user": "alice"}
)

# Submit with callback
def on_complete(task):
    print(f"Task {task.id} completed: {task.output}")

task = orch.submit(
    agent=my_agent,
    input="...",
    callback=on_complete
)
