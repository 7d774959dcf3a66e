"""The state file: what was submitted and how it ended, in one file of JSON.

Below the facade, above the store and the listener. Knows no Redis and no Celery.
"""
