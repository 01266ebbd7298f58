"""The database's clock, which all processes share."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import connection
from django.db.models import DateTimeField, Func

DATABASE_TIME: Final = Func(function="clock_timestamp", output_field=DateTimeField())
"""`database_time` as a column of a query that is made anyway."""


def database_time() -> datetime:
    """The time now, as the database has it: also within a transaction that began before."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found
