"""Cells that go from one value to another, in a language that is read from right to left."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.utils.translation import override

from accounts.admin.audit import AuditEntryAdmin
from accounts.models import AuditEntry
from chat.admin.runs import RunAdmin
from chat.models import Run

pytestmark = pytest.mark.unit


def test_arrows_point_as_their_headings_do() -> None:
    runs, entries = RunAdmin(Run, admin.site), AuditEntryAdmin(AuditEntry, admin.site)
    run = Run(first_token_ms=210, total_ms=900, queued_ms=3, input_tokens=12, output_tokens=34)
    entry = AuditEntry(changes={"is_active": ["True", "False"], "limit": [5, 6]})
    with override("ar"):
        cells = [runs.times(run), runs.cost_and_tokens(run), entries.said(entry)]
    assert all("←" in cell and "→" not in cell for cell in cells), cells
    with override("en"):
        cells = [runs.times(run), runs.cost_and_tokens(run), entries.said(entry)]
    assert all("→" in cell and "←" not in cell for cell in cells), cells
