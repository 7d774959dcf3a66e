"""The doctor: judges a live installation and says what is wrong and what to do.

Above the store and the engine, which collect the facts, and below the facade. Each check is
a pure function from facts to a finding; `CHECKS` lists them all, `docs/doctor.md` explains each.
"""

from pyagent_orch.doctor.examine import CHECKS, examine
from pyagent_orch.doctor.finding import Finding, Severity, worst

__all__ = ["CHECKS", "Finding", "Severity", "examine", "worst"]
