"""Searches rows by words or word prefixes, with PostgreSQL's full text search and an expression index.

Characters that join words in addresses, verbs and model names count as spaces, in rows and in search terms.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

# Exactly as in the indexes (migrations 0008 and 0010 of this app); otherwise PostgreSQL does not use them.
AUDIT: Final = """to_tsvector('simple', translate(actor_email || ' ' || verb || ' ' || object_type || ' ' || details,
    '@._-/=&?', '        '))"""
USERS: Final = """to_tsvector('simple', translate("accounts_user"."email" || ' ' || "accounts_user"."name",
    '@._-/=&?', '        '))"""


FEW: Final = 1000


def with_words(rows: QuerySet[Any], vector: str, term: str) -> QuerySet[Any]:
    """The rows in which every word of the term is a prefix of some word. No rows for a term without words.

    PostgreSQL assumes that prefixes are frequent and would scan all rows in order. So the index is first asked, without
    an order, whether there are few matches.
    """
    words = "".join(letter if letter.isalnum() else " " for letter in term).split()
    if not words:
        return rows.none()
    condition = has_words(vector, words)
    found = list(rows.model._default_manager.filter(condition).order_by().values_list("pk", flat=True)[: FEW + 1])  # noqa: SLF001  # Django documents it
    return rows.filter(pk__in=found) if len(found) <= FEW else rows.filter(condition)


def has_words(vector: str, words: Iterable[str]) -> RawSQL:
    """The condition that a row has all these prefixes. Words must be letters and digits only."""
    query = " & ".join(f"{word}:*" for word in words)
    return RawSQL(f"{vector} @@ to_tsquery('simple', %s)", (query,), output_field=BooleanField())  # noqa: S611 -- a constant and a parameter
