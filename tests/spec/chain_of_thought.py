result = AgentPatterns.chain_of_thought(
    problem="How should we scale our service to 10x users?",
    reasoner=agent("You are a systems architect"),
    steps=[
        "Identify current bottlenecks",
        "Propose scaling strategies",
        "Evaluate trade-offs",
        "Create implementation plan"
    ]
)

print(result.final_answer)
print(result.reasoning_chain)  # Step-by-step reasoning
