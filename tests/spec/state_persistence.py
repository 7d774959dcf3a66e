# Create with persistence
orch = Orchestrator(state_file="./state.json")

# State is automatically saved after each operation

# Later, restore state
orch = Orchestrator(state_file="./state.json")
# Pending tasks are automatically resumed
