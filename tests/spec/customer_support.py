from pyagent_orch import Orchestrator, AgentPatterns
from pyagent_orch import agent

orch = Orchestrator()

# Agents
classifier = agent("Classify support tickets by urgency and type")
tech_support = agent("Provide technical solutions")
billing_support = agent("Handle billing questions")
escalation = agent("Handle escalations professionally")

def handle_ticket(ticket: str):
    # Classify first
    classification = classifier(ticket)
    
    # Route to appropriate agent
    if "technical" in classification.lower():
        return tech_support(ticket)
    elif "billing" in classification.lower():
        return billing_support(ticket)
    else:
        return escalation(ticket)

# Submit tickets
for ticket in incoming_tickets:
    orch.submit(
        agent=classifier,
        input=ticket,
        callback=handle_ticket
    )
