"""Django's engine for PostgreSQL, which checks pooled connections before it uses them.

After PostgreSQL restarts, every idle connection is dead, and each would fail a request. A query before each use would
cost a round trip. Polling the socket costs microseconds, and an idle connection is readable only if the server has
closed it.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """The connection of a thread."""

    def get_connection_params(self) -> dict[str, Any]:
        """None where a pool has them: Django would put them together for each connection that it takes from there."""
        if self.alias in self._connection_pools:  # type: ignore[attr-defined]  # Django's stubs lack both
            return {}
        found: dict[str, Any] = super().get_connection_params()
        return found

    def _set_autocommit(self, autocommit: bool) -> None:
        """Nothing where it is so already, as of each connection from the pool."""
        if self.connection.autocommit != autocommit:
            super()._set_autocommit(autocommit)  # type: ignore[misc]  # as above

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        pool = self.pool
        if pool is None or not has_hung_up(connection):
            return connection
        pool.drain()  # the other idle connections are dead too
        connection.close()
        pool.putconn(connection)
        return super().get_new_connection(conn_params)


def has_hung_up(connection: Any) -> bool:
    """Whether the server has closed an idle connection. Does not block."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
