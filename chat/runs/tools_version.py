"""The version of what a user is offered of tools, in one statement: workers need not read them for each answer."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.db import connection

from accounts.features import is_on
from accounts.lib.postgresql.prepared import PreparedStatement
from accounts.models.site import Feature
from chat.runs.tool_limits import ToolsVersion
from chat.runs.tool_switch import sentence

# A row that was changed has another `xmin` or, within one transaction, another `ctid`.
_OF_USER: Final = """
WITH servers AS (
    SELECT id, slug, xmin, ctid FROM chat_toolserver WHERE owner_id IS NULL OR owner_id = {user}
)
SELECT
    (SELECT reason FROM chat_toolswitch WHERE id = 1 AND stopped),
    md5(concat(
        (SELECT string_agg(concat_ws(':', id, xmin, ctid), ',' ORDER BY id) FROM servers), '/',
        (SELECT string_agg(id::text, ',' ORDER BY id) FROM chat_toolserver_groups), '/',
        (SELECT string_agg(concat_ws(':', id, xmin, ctid), ',' ORDER BY id) FROM chat_knowntool
            WHERE server = '' OR server IN (SELECT slug FROM servers)), '/',
        (SELECT string_agg(concat_ws(':', id, xmin, ctid), ',' ORDER BY id) FROM chat_toolpolicy), '/',
        (SELECT string_agg(group_id::text, ',' ORDER BY group_id) FROM accounts_user_groups WHERE user_id = {user})
    ))
{where}
"""
_CLAIMED: Final = """WHERE EXISTS (
    SELECT FROM chat_run WHERE id = %(run)s AND status = 'running' AND lease_owner = %(owner)s AND step_count = 0
        AND requested_by_id IS NOT NULL
) AND EXISTS (SELECT FROM chat_knowntool WHERE enabled AND gone_at IS NULL)"""
_VERSION: Final = PreparedStatement(_OF_USER.format(user="%(user)s", where=""), {"user": "uuid"})
VERSION_OF_CLAIMED: Final = PreparedStatement(
    _OF_USER.format(user="(SELECT requested_by_id FROM chat_run WHERE id = %(run)s)", where=_CLAIMED),
    {"run": "uuid", "owner": "text"},
)
"""The same of whoever asked for the run that `owner` has just claimed; no row where there are no tools, or where it has
begun. `version_from` reads it.
"""


def tools_version(user_id: uuid.UUID) -> ToolsVersion:
    """What a user is offered now. One query; raises a database error."""
    with connection.cursor() as cursor:
        _VERSION.execute(cursor, {"user": user_id})
        return version_from(cursor.fetchone())


def version_from(row: Sequence[Any]) -> ToolsVersion:
    """What the row of a statement says."""
    reason, digest = row
    search = is_on(Feature.WEB_SEARCH)
    # What of the tools is not in the tables of the statement.
    known = f"{settings.TOOL_SERVERS_OF_USERS} {sorted(settings.TOOL_SERVERS_STDIO.items())} {search}"
    return ToolsVersion(None if reason is None else sentence(reason), f"{digest} {known}", search)
