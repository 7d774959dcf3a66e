"""What Celery does for us, and what we add to a Celery worker.

The only room, with `workers/`, that knows Celery and kombu. It turns tasks into
Celery messages, runs them in Celery's workers, and keeps the workers' leases.
"""
