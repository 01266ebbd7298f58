"""The admin of embedding models: where they are asked, what they are given, how far the files are, and a test."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Count
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.decorators import display

from accounts import audit
from accounts.staff.labels import TEST_COLOURS, Label, test_label
from accounts.staff.recorded import RecordedAdmin
from chat.models import Embedding, EmbeddingState
from workers.models import Embedder


@admin.register(Embedder)
class EmbedderAdmin(RecordedAdmin):
    list_display = ("name", "enabled", "endpoint", "model", "last_test")
    list_select_related = ("endpoint",)
    list_filter = ("enabled",)
    search_fields = ("name", "model")
    ordering = ("name",)
    change_form_outer_before_template = "workers/embedder_test.html"
    readonly_fields = ("progress",)
    fieldsets = (
        (None, {"fields": ("name", "enabled", "endpoint", "model", "dimensions")}),
        (_("What it is given"), {"fields": (("passage_prefix", "question_prefix"),)}),
        (_("Search"), {"fields": (("least_similarity", "timeout"),)}),
        (_("Files"), {"fields": ("progress",)}),
    )

    # --- the test ------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(require_POST(self.test_embedder))
        return [path("<uuid:object_id>/test/", test, name="workers_embedder_test"), *super().get_urls()]

    def test_embedder(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponseBase:
        """Has a worker ask the saved embedding model for three vectors, and shows what came."""
        from workers.embeddings.embedding_test import request_embedding_test  # it loads numpy

        if not (self.has_view_permission(request) and request.user.has_perm("workers.test_embedder")):
            raise PermissionDenied
        embedder = get_object_or_404(Embedder, pk=object_id)
        audit.record(request, "test", embedder)
        if not connection.in_atomic_block:
            connection.close()  # it is not needed while this waits for the worker
        result = request_embedding_test(embedder.pk)
        Embedder.objects.filter(pk=embedder.pk).update(
            tested_at=timezone.now(), test_passed=result.passed, test_said=result.message
        )
        return redirect("admin:workers_embedder_change", embedder.pk)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context = {**(extra_context or {}), "may_test": request.user.has_perm("workers.test_embedder")}
        return super().changeform_view(request, object_id, form_url, context)

    # --- what is shown -------------------------------------------------------------------------------------------

    @admin.display(description=_("Vectors of files"))
    def progress(self, row: Embedder) -> str:
        """How many contents of collections have vectors of it."""
        if not row.enabled:
            return gettext("It is not enabled, so no vectors are made.")
        counted = Embedding.objects.filter(model_key=row.key).values_list("state").annotate(count=Count("pk"))
        counts: dict[str, int] = dict(counted)
        total = sum(counts.values())
        said = [
            ngettext("%(ready)d of %(total)d file ready", "%(ready)d of %(total)d files ready", total)
            % {"ready": counts.get(EmbeddingState.DONE, 0), "total": total}
        ]
        if failed := counts.get(EmbeddingState.FAILED, 0):
            said.append(gettext("%(count)d without vectors: they are found by words only") % {"count": failed})
        return ". ".join(said)

    @display(description=_("Last test"), label=TEST_COLOURS)  # type: ignore[untyped-decorator]
    def last_test(self, row: Embedder) -> Label:
        return test_label(row.tested_at, row.test_passed)
