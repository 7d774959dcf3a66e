"""The shape of a workflow: who waits for whom, proven sound, and how that is said.

Ground layer: the standard library and the error tree only. Nothing here knows
tasks, records, Redis or Celery; a task is an id and a name.
"""

from pyagent_orch.graph.build import build_graph
from pyagent_orch.graph.dag import Graph
from pyagent_orch.graph.explain import explain
from pyagent_orch.graph.mermaid import to_mermaid
from pyagent_orch.graph.segments import Chain, Chord, Segment

__all__ = ["Chain", "Chord", "Graph", "Segment", "build_graph", "explain", "to_mermaid"]
