# Subscribe to events
@orch.on("task.completed")
def handle_completion(task):
    print(f"Task completed: {task.name}")

@orch.on("task.failed")
def handle_failure(task):
    alert_team(task.error)

@orch.on("workflow.completed")
def handle_workflow_done(workflow):
    generate_report(workflow)

# Emit custom events
orch.emit("custom.event", data={"key": "value"})
