"""The side-by-side benchmark against plain Celery: `python -m benchmarks`.

A program beside the package. One private server, one contender at work at a
time, rounds interleaved, and what counts is the ratio within a round: absolute
figures depend on the machine and on what else it does.

A new workload is a file in `cases/`, a new contender one in `contenders/`.
"""
