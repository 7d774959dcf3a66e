result = AgentPatterns.debate(
    topic="Should AI systems be open-sourced?",
    pro_agent=agent("Argue FOR open-source AI"),
    con_agent=agent("Argue AGAINST open-source AI"),
    judge=agent("Judge the debate fairly"),
    rounds=3
)

print(result.winner)  # "pro" or "con"
print(result.transcript)  # Full debate
print(result.final_verdict)  # Judge's reasoning
