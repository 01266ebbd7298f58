"""Lists in and out of CSV files, for the pages whose admin says so (django-import-export in unfold's look).

Out: what the list shows with its filters, some rows at a time from key to key, so that `AT_ONCE` of them are in memory
and no transaction stays open for a slow reader. In: a file of bounded size, read strictly, shown row by row before
anything is done, then all of it or nothing.
"""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

import redis
from django.contrib import messages
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from import_export.admin import ExportMixin, ImportExportMixin
from import_export.formats.base_formats import CSV
from import_export.tmp_storages import CacheStorage
from unfold.contrib.import_export.forms import ExportForm, ImportForm

from accounts import audit
from accounts.lib.streaming import CSV_TYPE, csv_pieces, pages_by_key, stream_file

AT_ONCE: Final = 1000  # rows of an export that are in memory
MOST_BYTES: Final = 1_000_000  # of a file that comes in
MOST_ROWS: Final = 5000
KEPT_SECONDS: Final = 3600  # between the preview and the yes


class Gone(Exception):
    """The file that was previewed is not kept any more."""


class ShortStorage(CacheStorage):  # type: ignore[misc]  # import_export ships no types
    """In Redis, where any web process finds it; named by a random number in the form."""

    CACHE_LIFETIME = KEPT_SECONDS

    def read(self) -> Any:
        found = cache.get(self.CACHE_PREFIX + self.name)
        if found is None:
            raise Gone
        return found


def read_table(data: bytes) -> list[list[str]]:
    """The lines of a CSV file, the header first. Raises `ValidationError` with a sentence."""
    if len(data) > MOST_BYTES:
        raise ValidationError(f"The file has more than {MOST_BYTES // 1000} kB: split it.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValidationError(f"The file is not UTF-8 (byte {error.start}): save it as “CSV UTF-8”.") from None
    if "\0" in text:
        raise ValidationError("The file is not text: it has a NUL in it.")
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ValidationError(f"The file is not CSV, or ends too early: {error}.") from None
    lines = [line for line in lines if line]
    if len(lines) < 2:
        raise ValidationError("There is nothing in the file: a first line with the columns' names, then the rows.")
    if len(lines) > MOST_ROWS + 1:
        raise ValidationError(f"The file has more than {MOST_ROWS} rows: split it.")
    return lines


def check_table(lines: list[list[str]], columns: list[str], keys: list[str]) -> None:
    """Whether these are rows of a resource. Raises `ValidationError` with a sentence."""
    header, *rows = lines
    for name in header:
        if header.count(name) > 1:
            raise ValidationError(f"The column {name!r} is there twice.")
        if name not in columns:
            raise ValidationError(f"There is no column {name[:60]!r}. Known are {', '.join(columns)}.")
    if missing := [name for name in keys if name not in header]:
        raise ValidationError(f"Missing: {', '.join(missing)}. Rows are told apart by {', '.join(keys)}.")
    places = [header.index(name) for name in keys]
    seen: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValidationError(f"Line {number} has {len(row)} cells, and there are {len(header)} columns.")
        key = tuple(row[place].strip().lower() for place in places)
        if (first := seen.setdefault(key, number)) != number:
            raise ValidationError(f"Line {number} is of the same row as line {first}.")


class CheckedImportForm(ImportForm):  # type: ignore[misc]  # unfold ships no types
    """Refuses a file as a whole before any row of it is looked at."""

    def __init__(self, formats: Any, resources: Any, **kwargs: Any) -> None:
        super().__init__(formats, resources, **kwargs)
        self.resource = resources[0]()

    def clean_import_file(self) -> Any:
        file = self.cleaned_data["import_file"]
        if file.size > MOST_BYTES:
            raise ValidationError(f"The file has more than {MOST_BYTES // 1000} kB: split it.")
        lines = read_table(file.read())
        file.seek(0)
        check_table(lines, self.resource.columns(), self.resource.keys())
        return file


class ExportAdmin(ExportMixin):  # type: ignore[misc]  # import_export ships no types
    """`resource_classes` has one. Needs the right to look, and to take along."""

    formats: ClassVar = [CSV]
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
        return {**context, "fields_list": [(resource.get_display_name(), columns)]}  # not those of an import

    def _do_file_export(
        self, file_format: Any, request: HttpRequest, queryset: QuerySet[Any], export_form: Any = None
    ) -> HttpResponseBase:
        resource = self.get_export_resource_classes(request)[0](**self.get_export_resource_kwargs(request))
        audit.record(request, "export", self.model, details=request.GET.urlencode())
        name = f"{self.opts.model_name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
        columns = [field.column_name for field in resource.get_export_fields()]
        pages = ([resource.export_resource(row) for row in page] for page in pages_by_key(queryset, AT_ONCE))
        return stream_file(request, name, CSV_TYPE, csv_pieces(columns, pages, bom=True))


class ImportExportAdmin(ExportAdmin, ImportExportMixin):  # type: ignore[misc]  # import_export ships no types
    """Also in. Needs the right to bring in, and to add and change what the list holds."""

    import_export_change_list_template = "admin/import_export/change_list_import_export.html"
    import_form_class = CheckedImportForm
    tmp_storage_class = ShortStorage
    skip_admin_log = True  # the audit log has it

    def has_import_permission(self, request: HttpRequest) -> bool:
        rights = ["accounts.import_lists"]
        rights += [f"{self.opts.app_label}.{verb}_{self.opts.model_name}" for verb in ("add", "change")]
        return request.user.has_perms(rights)

    def get_import_resource_kwargs(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        return {"actor": request.user}

    def process_import(self, request: HttpRequest, **kwargs: Any) -> Any:
        try:
            return super().process_import(request, **kwargs)
        except Gone:
            messages.error(request, "The file was kept for an hour and is gone: bring it again.")
        except redis.RedisError:
            messages.error(request, "The file cannot be read back at the moment: Redis does not answer.")
        return redirect("..")

    def process_dataset(self, dataset: Any, form: Any, request: HttpRequest, **kwargs: Any) -> Any:
        name = str(form.cleaned_data.get("original_file_name", ""))[:100]
        audit.record(request, "import", self.model, details=f"{name}, {len(dataset)} rows")
        return super().process_dataset(dataset, form, request, rollback_on_validation_errors=True, **kwargs)

    def process_result(self, result: Any, request: HttpRequest) -> Any:
        if result.has_errors() or result.has_validation_errors():
            messages.error(request, "Something has changed since the preview. Nothing was done: bring the file again.")
            return redirect("../import/")
        return super().process_result(result, request)
