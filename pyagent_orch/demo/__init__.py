"""The demo: agents that read a folder of text, and a report about it.

On the layer of the edges, beside the web page: it uses the facade as any user
would and knows neither Redis nor Celery. It is part of the package, not of
`examples/`, since `pyagent-orch demo` also works from an installed wheel.
"""
