# Multiple experts evaluate
experts = [
    agent("You are a security expert"),
    agent("You are a performance expert"),
    agent("You are a UX expert")
]

result = AgentPatterns.consensus(
    task="Should we approve this feature?",
    agents=experts,
    threshold=0.66  # 66% must agree
)

print(result.decision)  # "approved" or "rejected"
print(result.votes)  # Individual agent votes
print(result.reasoning)  # Combined reasoning
