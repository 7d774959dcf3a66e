from pyagent_orch import AgentPatterns
from pyagent_orch import agent

# Create specialized agents
researcher = agent("You are a research specialist")
writer = agent("You are a content writer")
editor = agent("You are an editor")

# Run with supervisor
result = AgentPatterns.supervisor(
    task="Write a research report on AI trends",
    agents=[researcher, writer, editor],
    supervisor_instructions="Coordinate the team to produce a report"
)
