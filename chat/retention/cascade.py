"""Deletes rows with everything that depends on them, in one statement per relation, without loading any of it.

Django's own deletion reads what it deletes: its cost grows with the rows. Here each relation is one `DELETE …
RETURNING`, whose ids lead on to the next. Foreign keys are checked at the end of the transaction, so the order does not
matter, and a relation that this overlooked would fail there. Rows of a model with a `post_delete` signal, such as those
with a file, are deleted by Django.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from django.db import connection, models
from django.db.models.deletion import CASCADE, DO_NOTHING, SET_NULL, get_candidate_relations_to_delete
from django.db.models.signals import post_delete

from chat.models import Member

_DELETE: Final = "DELETE FROM {table} WHERE {column} = ANY(%s)"
_CLEAR: Final = "UPDATE {table} SET {column} = NULL WHERE {column} = ANY(%s)"


@dataclass(frozen=True, slots=True)
class _Relation:
    """What happens to the rows of `model` whose `column` refers to a deleted row."""

    model: type[models.Model]
    column: str
    clears: bool  # else the rows are deleted, too


def delete_rows(model: type[models.Model], ids: Sequence[Any]) -> int:
    """Deletes the rows with these primary keys, and what depends on them. Returns how many rows of all tables.

    To be called in a transaction. Raises `NotImplementedError` where a relation is neither CASCADE nor SET_NULL.
    """
    if _has_signal(model):
        return _delete_with_signals(model, _key_column(model), ids)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")  # something before may have made them immediate
    count, deleted = _delete(model, _key_column(model), ids)
    waiting: list[tuple[type[models.Model], list[Any]]] = [(model, deleted)]
    cleared: list[tuple[_Relation, list[Any]]] = []
    while waiting:
        parent, gone = waiting.pop()
        for relation in relations_to(parent) if gone else ():
            if relation.clears:
                cleared.append((relation, gone))
            elif _has_signal(relation.model):
                count += _delete_with_signals(relation.model, relation.column, gone)
            else:
                number, found = _delete(relation.model, relation.column, gone)
                count += number
                waiting.append((relation.model, found))
    for relation, gone in cleared:  # last: most of these rows are deleted by now
        _run(_CLEAR, relation.model, relation.column, gone)
    return count


@cache
def relations_to(model: type[models.Model]) -> tuple[_Relation, ...]:
    """The foreign keys that refer to `model`. Raises `NotImplementedError`."""
    return tuple(_relations(model))


def _relations(model: type[models.Model]) -> Iterator[_Relation]:
    related: Any
    for related in get_candidate_relations_to_delete(model._meta):  # noqa: SLF001
        field = related.field
        if related.on_delete is DO_NOTHING:
            continue
        if related.on_delete not in (CASCADE, SET_NULL) or field.target_field != model._meta.pk:  # noqa: SLF001
            raise NotImplementedError(f"{field} refers to {model.__name__} in a way that is not known here")
        yield _Relation(related.related_model, field.column, related.on_delete is SET_NULL)


def _key_column(model: type[models.Model]) -> str:
    column = model._meta.pk.column  # noqa: SLF001  # Django documents it
    assert column is not None
    return column


def _has_signal(model: type[models.Model]) -> bool:
    """Whether Django has to delete. A member's signal does nothing where the whole conversation goes."""
    return model is not Member and post_delete.has_listeners(model)


def _delete_with_signals(model: type[models.Model], column: str, ids: Sequence[Any]) -> int:
    [field] = (one for one in model._meta.concrete_fields if one.column == column)  # noqa: SLF001
    count, _by_model = model._default_manager.filter(**{f"{field.name}__in": ids}).delete()  # noqa: SLF001
    return count


def _delete(model: type[models.Model], column: str, ids: Sequence[Any]) -> tuple[int, list[Any]]:
    """How many rows were deleted, and their primary keys if anything refers to them."""
    return _run(_DELETE + (" RETURNING {key}" if relations_to(model) else ""), model, column, ids)


def _run(statement: str, model: type[models.Model], column: str, ids: Sequence[Any]) -> tuple[int, list[Any]]:
    quote = connection.ops.quote_name
    names = {
        "table": quote(model._meta.db_table),  # noqa: SLF001
        "column": quote(column),
        "key": quote(_key_column(model)),
    }
    with connection.cursor() as cursor:
        cursor.execute(statement.format(**names), [list(ids)])
        return cursor.rowcount, [row[0] for row in cursor.fetchall()] if cursor.description else []
