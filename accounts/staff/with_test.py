"""Admin pages of what a worker can test: endpoints, judges, embedding models, search providers, tool servers."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from accounts import audit
from accounts.staff.labels import TEST_COLOURS, Label, test_label
from accounts.staff.recorded import RecordedAdmin


class AdminWithTest(RecordedAdmin):
    """The model has `tested_at`, `test_passed` and `test_said`, and the permission `test_MODEL`. The page shows the
    result and the button by a template that includes `admin/worker_test.html`.
    """

    def request_test(self, pk: uuid.UUID) -> tuple[bool, str]:
        """Has a worker test a row as it is saved: whether it passed, and what was found. Blocks for some seconds."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(require_POST(self.test_row))
        return [path("<uuid:object_id>/test/", test, name=f"{self._name}_test"), *super().get_urls()]

    def test_row(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponseBase:
        """Has a worker test the saved row, and shows the result on its page."""
        if not (self.has_view_permission(request) and self._may_test(request)):
            raise PermissionDenied
        row = get_object_or_404(self.model, pk=object_id)
        audit.record(request, "test", row)
        if not connection.in_atomic_block:
            connection.close()  # it is not needed while this waits for the worker
        passed, said = self.request_test(row.pk)
        rows = self.model._default_manager.filter(pk=row.pk)  # noqa: SLF001  # Django documents it
        rows.update(tested_at=timezone.now(), test_passed=passed, test_said=said)
        return redirect(f"admin:{self._name}_change", row.pk)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {**(extra_context or {}), "may_test": self._may_test(request)}
        return super().changeform_view(request, object_id, form_url, context)

    @display(description=_("Last test"), label=TEST_COLOURS)  # type: ignore[untyped-decorator]
    def last_test(self, row: Any) -> Label:
        return test_label(row.tested_at, row.test_passed)

    def _may_test(self, request: HttpRequest) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.test_{self.opts.model_name}")

    @property
    def _name(self) -> str:
        """How the names of the model's addresses begin."""
        return f"{self.opts.app_label}_{self.opts.model_name}"
