# Run once at specific time
job = ScheduledJob(
    task=daily_report_task,
    schedule_type="once",
    run_at=datetime(2024, 12, 25, 9, 0)
)

# Run every hour
job = ScheduledJob(
    task=health_check_task,
    schedule_type="interval",
    interval_seconds=3600
)

# Run on cron schedule
job = ScheduledJob(
    task=weekly_summary_task,
    schedule_type="cron",
    cron="0 9 * * MON"  # Every Monday at 9 AM
)

orch.schedule(job)
