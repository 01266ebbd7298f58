"""The admin of embedding models: where they are asked, what they are given, how far the files are, and a test."""

from __future__ import annotations

import uuid

from django.contrib import admin
from django.db.models import Count
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.staff.with_test import AdminWithTest
from chat.models import Embedding, EmbeddingState
from workers.models import Embedder


@admin.register(Embedder)
class EmbedderAdmin(AdminWithTest):
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

    def request_test(self, pk: uuid.UUID) -> tuple[bool, str]:
        from workers.embeddings.embedding_test import request_embedding_test  # it loads numpy

        result = request_embedding_test(pk)
        return result.passed, result.message

    # --- what is shown -------------------------------------------------------------------------------------------

    @admin.display(description=_("Vectors of files"))
    def progress(self, row: Embedder) -> str:
        """How many contents have vectors of it."""
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
