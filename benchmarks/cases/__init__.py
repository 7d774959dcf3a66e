"""The cases, one file for each kind; in the order in which they run."""

from benchmarks.case import Case
from benchmarks.cases.beat import BEATS
from benchmarks.cases.costs import COSTS
from benchmarks.cases.imports import Imports
from benchmarks.cases.latency import LATENCIES
from benchmarks.cases.looking import Looking
from benchmarks.cases.state_file import StateFile
from benchmarks.cases.submit import SubmitMany, SubmitOne
from benchmarks.cases.throughput import THROUGHPUTS
from benchmarks.cases.web import FirstEvent
from benchmarks.cases.workflows import WORKFLOWS

CASES: tuple[type[Case], ...] = (
    *THROUGHPUTS,
    SubmitOne,
    SubmitMany,
    *LATENCIES,
    *WORKFLOWS,
    Imports,
    StateFile,
    Looking,
    FirstEvent,
    *COSTS,
    *BEATS,
)
