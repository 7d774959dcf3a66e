"""Schedules: when a job is due, and what it is that users schedule. Pure; no I/O."""
