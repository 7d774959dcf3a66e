"""The embedded mode: a private, real server and a worker in this process.

What `Orchestrator()` uses when it is given no URL. Above the engine, below the
facade. The server's part knows no Redis client and no Celery: it starts a
process, waits until it answers on its socket, and sees to it that it goes.
"""
