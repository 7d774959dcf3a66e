"""The calls about an installation as a whole; a part of the facade."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyagent_orch.doctor import Finding
    from pyagent_orch.orchestrator.connection import Connection
    from pyagent_orch.store.activity import Activity
    from pyagent_orch.store.measures import Measures


class Checkup:
    """The calls about the installation as a whole; a base of `Orchestrator`."""

    _connection: Connection

    def doctor(self) -> list[Finding]:
        """Examine the installation: what is wrong, and what to do about it.

        Takes about a second, changes nothing, and is safe at any time. Every check gives a
        finding, also when all is well; `pyagent_orch.doctor.worst(findings)` is the highest
        severity. When Redis is out of reach that is the one finding, not an error.

        Raises:
            OrchestratorClosedError: after `close`.
            EmbeddedServerError: there is no private server to start.
        """
        from pyagent_orch.doctor import examine

        connection = self._connection
        return examine(
            connection.client,
            connection.settings,
            embedded=connection.is_embedded,
            lasting=connection.state_file is not None,
        )

    def measure(self) -> Measures:
        """Read what operators watch: queues, workers, rates, failures, healing, cost.

        Four round trips, whatever the number of finished tasks. `pyagent_orch.metrics` makes
        Prometheus metrics of it.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
            OrchestratorClosedError: after `close`.
        """
        return self._connection.store.measure()

    def activity(self, limit: int = 20) -> Activity:
        """Read who works on what: the workers, and the tasks that have run for the longest.

        Two round trips, whatever the number of finished tasks.

        Args:
            limit: how many running tasks to tell at the most, >= 0.

        Raises:
            OrchestratorConnectionError: Redis is out of reach or refuses.
            OrchestratorClosedError: after `close`.
        """
        return self._connection.store.activity(limit)
