"""The indexes of the tables that every message writes."""

from __future__ import annotations

import pytest
from django.db import connection

# Each pair: an index of all rows whose columns are the beginning of another one's, which serves as well.
_REDUNDANT = """
SELECT a.indexrelid::regclass::text, b.indexrelid::regclass::text
FROM pg_index a JOIN pg_index b USING (indrelid)
WHERE indrelid = ANY (%s::text[]::regclass[]) AND a.indexrelid <> b.indexrelid
AND a.indpred IS NULL AND b.indpred IS NULL AND a.indexprs IS NULL AND b.indexprs IS NULL AND NOT a.indisunique
AND (string_to_array(b.indkey::text, ' '))[1:a.indnatts] = string_to_array(a.indkey::text, ' ')
"""


@pytest.mark.django_db
def test_no_index_is_the_beginning_of_another() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _REDUNDANT, [["chat_message", "chat_run", "chat_submission", "chat_conversation", "chat_member"]]
        )
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE tablename = 'chat_message' AND indexdef LIKE '%%(author_id)%%'"
        )
        assert cursor.fetchall() == [("message_by_author",)], "answers have no author, and are not in it"
