"""CSV export and import for admin pages (django-import-export with unfold's look).

An export has the rows of the list with its filters, in pages of `ROWS_PER_PAGE`. An import is a file of limited size
that is parsed strictly, previewed row by row, and then imported completely or not at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import redis
from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from import_export.admin import ExportMixin, ImportExportMixin
from import_export.formats.base_formats import CSV
from import_export.tmp_storages import CacheStorage
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from accounts import audit, four_eyes
from accounts.auth.requests import user_of
from accounts.lib.formatting import grouped
from accounts.lib.replica import reports_database
from accounts.lib.streaming import CSV_TYPE, ROWS_LINE, csv_pieces, pages_by_key, rows_line, stream_file
from accounts.models import ActKind
from accounts.staff.background import ListFile, begin_export, is_long

ROWS_PER_PAGE: Final = 1000  # of an export, in memory at a time
MAX_BYTES: Final = 1_000_000  # of an imported file
MAX_ROWS: Final = 5000
PREVIEW_SECONDS: Final = 3600  # how long a file waits for confirmation


class PreviewExpired(Exception):
    """The previewed file is no longer stored."""


class PreviewStorage(CacheStorage):  # type: ignore[misc]  # import_export ships no types
    """Stores previewed files in Redis, for all web processes, under a random name that the form contains."""

    CACHE_LIFETIME = PREVIEW_SECONDS

    def read(self) -> Any:
        found = cache.get(self.CACHE_PREFIX + self.name)
        if found is None:
            raise PreviewExpired
        return found


def is_rows_line(line: Sequence[Any]) -> bool:
    """Whether a line is the last one of an exported file, which a spreadsheet may have filled with empty cells."""
    return bool(line) and str(line[0]).startswith(ROWS_LINE) and not any(line[1:])


class ExportedCSV(CSV):  # type: ignore[misc]  # import_export ships no types
    """CSV; the last line of an exported file is no row."""

    def get_title(self) -> str:
        return "csv"

    def create_dataset(self, in_stream: Any, **kwargs: Any) -> Any:
        dataset = super().create_dataset(in_stream, **kwargs)
        if len(dataset) and is_rows_line(dataset[-1]):
            del dataset[-1]
        return dataset


def read_table(data: bytes) -> list[list[str]]:
    """The lines of a CSV file, starting with the header. Raises `ValidationError`."""
    if len(data) > MAX_BYTES:
        raise ValidationError(
            gettext("The file is larger than %(most)s kB. Split it.") % {"most": grouped(MAX_BYTES // 1000)}
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        said = gettext("The file is not UTF-8 (byte %(place)d). Save it as “CSV UTF-8”.") % {"place": error.start}
        raise ValidationError(said) from None
    if "\0" in text:
        raise ValidationError(gettext("The file is not text: it contains a NUL character."))
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        said = gettext("The file is not valid CSV or is incomplete: %(error)s.") % {"error": error}
        raise ValidationError(said) from None
    lines = [line for line in lines if line]
    if lines and is_rows_line(lines[-1]) and lines.pop()[0] != rows_line(len(lines) - 1):
        raise ValidationError(gettext("The file is incomplete: its last line states a different number of rows."))
    if len(lines) < 2:
        raise ValidationError(gettext("The file has no rows. It needs a first line with column names, then the rows."))
    if len(lines) > MAX_ROWS + 1:
        raise ValidationError(gettext("The file has more than %(most)s rows. Split it.") % {"most": grouped(MAX_ROWS)})
    return lines


def check_table(lines: list[list[str]], columns: list[str], keys: list[str]) -> None:
    """Raises `ValidationError` if a column is unknown, missing or repeated, or a row is malformed or repeated."""
    header, *rows = lines
    for name in header:
        if header.count(name) > 1:
            raise ValidationError(gettext("The column “%(name)s” appears twice.") % {"name": name})
        if name not in columns:
            said = gettext("Unknown column “%(name)s”. Known columns: %(columns)s.")
            raise ValidationError(said % {"name": name[:60], "columns": ", ".join(columns)})
    if missing := [name for name in keys if name not in header]:
        said = gettext("Missing columns: %(missing)s. Rows are identified by %(keys)s.")
        raise ValidationError(said % {"missing": ", ".join(missing), "keys": ", ".join(keys)})
    places = [header.index(name) for name in keys]
    seen: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            said = gettext("Line %(number)d has %(cells)d cells instead of %(columns)d.")
            raise ValidationError(said % {"number": number, "cells": len(row), "columns": len(header)})
        key = tuple(row[place].strip().lower() for place in places)
        if (first := seen.setdefault(key, number)) != number:
            said = gettext("Lines %(first)d and %(number)d describe the same object.")
            raise ValidationError(said % {"first": first, "number": number})


class CheckedImportForm(ImportForm):  # type: ignore[misc]  # unfold ships no types
    """Checks the whole file before any row is processed."""

    def __init__(self, formats: Any, resources: Any, **kwargs: Any) -> None:
        super().__init__(formats, resources, **kwargs)
        self.resource = resources[0]()

    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        if file.size > MAX_BYTES:
            raise ValidationError(
                gettext("The file is larger than %(most)s kB. Split it.") % {"most": grouped(MAX_BYTES // 1000)}
            )
        lines = read_table(file.read())
        file.seek(0)
        check_table(lines, self.resource.columns(), self.resource.keys())
        return file


class ExportAdmin(ExportMixin):  # type: ignore[misc]  # import_export ships no types
    """Adds CSV export. Needs the permissions to view the list and to export lists. `resource_classes` has one class."""

    formats: ClassVar = [ExportedCSV]
    export_form_class = ExportForm
    model: Any
    opts: Any

    def has_export_permission(self, request: HttpRequest) -> bool:
        may_look: bool = self.has_view_permission(request)
        return may_look and request.user.has_perm("accounts.export_lists")

    def init_request_context_data(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().init_request_context_data(request, form)
        resource = self.get_export_resource_classes(request)[0]()
        columns = [field.column_name for field in resource.get_export_fields()]
        return {
            **context,
            "fields_list": [(resource.get_display_name(), columns)],
        }

    def _do_file_export(
        self, file_format: Any, request: HttpRequest, queryset: QuerySet[Any], export_form: Any = None
    ) -> HttpResponseBase:
        if asked := ask_for_export(request, self.model):
            return asked
        audit.record(request, "export", self.model, details=request.GET.urlencode())
        if is_long(queryset):
            return begin_export(request, self.model)
        file = self._file_of(request, queryset)
        return stream_file(request, file.name, CSV_TYPE, csv_pieces(file.columns, file.pages, bom=True))

    def may_export(self, request: HttpRequest) -> bool:
        return self.has_export_permission(request)

    def list_file(self, request: HttpRequest) -> ListFile:
        """The list with the filters of the request's address, for an export in the background."""
        return self._file_of(request, self.get_export_queryset(request))

    def _file_of(self, request: HttpRequest, queryset: QuerySet[Any]) -> ListFile:
        resource = self.get_export_resource_classes(request)[0](**self.get_export_resource_kwargs(request))
        name = f"{self.opts.model_name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
        columns = [field.column_name for field in resource.get_export_fields()]
        rows = queryset.using(reports_database())
        pages = ([resource.export_resource(row) for row in page] for page in pages_by_key(rows, ROWS_PER_PAGE))
        return ListFile(name, columns, pages, bom=True)


def ask_for_export(request: HttpRequest, model: Any) -> HttpResponseBase | None:
    """Where FOUR_EYES says so, asks for the export of a list with these filters; None once it may be downloaded."""
    kind, by = ActKind.EXPORT_LIST, user_of(request)
    what = f"{model._meta.label_lower} {request.GET.urlencode()}".strip()  # noqa: SLF001  # Django documents it
    if not four_eyes.is_needed(kind) or four_eyes.take_approved(kind, by, what=what):
        return None
    audit.record(request, f"ask_{kind}", model, details=what)
    if four_eyes.ask(kind, by, gettext("Export of a list"), what=what):
        said = gettext("Requested. Export the same list again once somebody else has approved it, under Approvals.")
    else:
        said = gettext("You have requested this already. Somebody else has to approve it, under Approvals.")
    messages.info(request, said)
    return redirect("..")


class ImportExportAdmin(ExportAdmin, ImportExportMixin):  # type: ignore[misc]  # import_export ships no types
    """Adds CSV import too. Needs the permissions to import lists and to add and change these objects."""

    import_export_change_list_template = "admin/import_export/change_list_import_export.html"
    import_form_class = CheckedImportForm
    tmp_storage_class = PreviewStorage
    skip_admin_log = True  # the audit log has an entry

    def has_import_permission(self, request: HttpRequest) -> bool:
        rights = ["accounts.import_lists"]
        rights += [f"{self.opts.app_label}.{verb}_{self.opts.model_name}" for verb in ("add", "change")]
        return request.user.has_perms(rights)

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"actor": request.user}

    def process_import(self, request: HttpRequest, **kwargs: Any) -> Any:
        try:
            return super().process_import(request, **kwargs)
        except PreviewExpired:
            messages.error(request, gettext("The preview has expired. Upload the file again."))
        except redis.RedisError:
            messages.error(request, gettext("The file cannot be read because Redis does not respond. Try again later."))
        return redirect("..")

    def process_dataset(self, dataset: Any, form: Any, request: HttpRequest, **kwargs: Any) -> Any:
        name = str(form.cleaned_data.get("original_file_name", ""))[:100]
        audit.record(request, "import", self.model, details=f"{name}, {len(dataset)} rows")
        return super().process_dataset(dataset, form, request, rollback_on_validation_errors=True, **kwargs)

    def process_result(self, result: Any, request: HttpRequest) -> Any:
        if result.has_errors() or result.has_validation_errors():
            messages.error(request, gettext("The data has changed since the preview; nothing was imported. Try again."))
            return redirect("../import/")
        return super().process_result(result, request)
