"""Django's engine for PostgreSQL, whose pooled connections are looked at before they are used.

When PostgreSQL restarts, every idle connection is dead and would fail the next request each. Asking the server before
each use costs a round trip; looking whether the socket has anything to read costs microseconds, and an idle connection
has something to read only when the server has hung up.
"""

from __future__ import annotations

import select
from typing import Any

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """The connection of a thread."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        pool = self.pool
        if pool is None or not has_hung_up(connection):
            return connection
        pool.drain()  # the others are dead too
        connection.close()
        pool.putconn(connection)
        return super().get_new_connection(conn_params)


def has_hung_up(connection: Any) -> bool:
    """Whether the server has closed an idle connection. Does not wait."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
