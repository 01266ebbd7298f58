"""Exports of long lists in the background. Lists say what their files have; an app that stores and makes them registers
how one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponseBase

LONG: Final = 20_000  # rows from which on a list is exported in the background


@dataclass(frozen=True, slots=True)
class ListFile:
    """The CSV file of a list: its name, its columns and its rows, in pages that are read one after the other."""

    name: str
    columns: Sequence[str]
    pages: Iterable[Iterable[Sequence[Any]]]
    bom: bool = False


Begin = Callable[[HttpRequest, type[Model]], HttpResponseBase]
_begin: list[Begin] = []


def register_background(begin: Begin) -> None:
    """Has `begin(request, model)` start the export of a model's list, with the filters of the request's address."""
    _begin[:] = [begin]


def is_long(rows: QuerySet[Any]) -> bool:
    """Whether the list is exported in the background. Reads one row, beyond `LONG`."""
    return bool(_begin) and rows.order_by("pk").values_list("pk", flat=True)[LONG : LONG + 1].exists()


def begin_export(request: HttpRequest, model: type[Model]) -> HttpResponseBase:
    """Starts an export and returns the page on which it appears."""
    return _begin[0](request, model)


def list_file(request: HttpRequest, model: type[Model]) -> ListFile | None:
    """The file of a model's list with the filters of the request's address; None where the list has no export, or its
    user may not export it. The admin's modules must have been loaded.
    """
    found: Any = admin.site._registry.get(model)  # noqa: SLF001  # Django offers `get_model_admin` since 5.0, for models that are there
    if found is None or not hasattr(found, "list_file") or not found.may_export(request):
        return None
    made: ListFile = found.list_file(request)
    return made
