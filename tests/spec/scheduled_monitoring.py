orch = Orchestrator()
monitor = agent("Analyze system metrics and alert on anomalies")

# Health check every 5 minutes
health_job = orch.schedule(
    agent=monitor,
    input="Check system health: {metrics}",
    interval_seconds=300
)

# Daily summary at 9 AM
summary_job = orch.schedule(
    agent=agent("Generate daily summary"),
    input="Summarize yesterday's events",
    cron="0 9 * * *"
)
