"""What a fleet starts: `celery -A workers.celery_app worker`, `beat` or `flower`."""
