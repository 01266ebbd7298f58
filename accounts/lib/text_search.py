"""Searching rows by words, or their beginnings, with PostgreSQL's full text search and an index over an expression.

Marks that join words (in addresses, verbs, names of models) are taken for blanks, in rows as in what is searched for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

# As the indexes have them (migrations 0008 and 0010 of this app), to the letter, or they are not used.
AUDIT: Final = """to_tsvector('simple', translate(actor_email || ' ' || verb || ' ' || object_type || ' ' || details,
    '@._-/=&?', '        '))"""
PEOPLE: Final = """to_tsvector('simple', translate("accounts_user"."email" || ' ' || "accounts_user"."name",
    '@._-/=&?', '        '))"""


FEW: Final = 1000


def with_words(rows: QuerySet[Any], vector: str, term: str) -> QuerySet[Any]:
    """Those where every word of the term begins a word of the row; none for a term without words.

    PostgreSQL guesses that beginnings of words are frequent, and would go through all rows in their order until it has
    seen enough. So the index is asked first, without an order, whether they are.
    """
    words = "".join(letter if letter.isalnum() else " " for letter in term).split()
    if not words:
        return rows.none()
    condition = has_words(vector, words)
    found = list(rows.model._default_manager.filter(condition).order_by().values_list("pk", flat=True)[: FEW + 1])  # noqa: SLF001  # Django documents it
    return rows.filter(pk__in=found) if len(found) <= FEW else rows.filter(condition)


def has_words(vector: str, words: Iterable[str]) -> RawSQL:
    """A condition. The words are letters and digits only."""
    query = " & ".join(f"{word}:*" for word in words)
    return RawSQL(f"{vector} @@ to_tsquery('simple', %s)", (query,), output_field=BooleanField())  # noqa: S611 -- a constant and a parameter
