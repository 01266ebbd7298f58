"""Rows of the admin's lists: what is the same in each is made once, and says what unfold's own would say."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.safestring import mark_safe
from django.utils.translation import override
from unfold import admin as unfold_admin
from unfold.templatetags import unfold_list
from unfold.utils import display_for_label

from accounts.staff import lists, quick_rows
from accounts.staff.labels import Label

pytestmark = pytest.mark.unit
COLOURS = {"failed": "danger", "done": "success"}


def test_lists_use_it() -> None:
    assert lists.QuickListAdmin.action_checkbox is not unfold_admin.ModelAdmin.action_checkbox
    assert (unfold_list.result_headers, unfold_list.display_for_label) == (quick_rows.headers, quick_rows.label)


def test_headings_are_made_once_for_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(page: Any) -> Any:
        made.append(page)
        yield {"text": f"of {len(made)}"}

    class Page: ...

    monkeypatch.setattr(quick_rows, "_make_headers", make)
    first, second = Page(), Page()
    assert [quick_rows.headers(first) for _row in range(3)] == [[{"text": "of 1"}]] * 3
    assert quick_rows.headers(second) == [{"text": "of 2"}], "another page has its own"


@pytest.mark.parametrize("value", [
    Label("failed", "<b>Failed</b>"), Label("failed", "Fehlgeschlagen"), Label("done", "Done"), Label("failed", ""),
    Label("unknown", "Unknown"), Label("failed", mark_safe("<b>Failed</b>")), ("done", "Done"), None, "text",
])  # fmt: skip
def test_labels_are_those_of_unfold(value: Any) -> None:
    for _twice in range(2):
        assert quick_rows.label(value, "–", COLOURS) == display_for_label(value, "–", COLOURS)


def test_boxes_are_those_of_unfold() -> None:
    for language in ("en", "de", "en"):
        with override(language):
            for key in ("7", '"><script>'):
                assert quick_rows.select_box(key) == unfold_admin.checkbox.render("_selected_action", key)


def test_the_first_cell_is_named_as_its_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """unfold says "Select record" there, also of what is no box."""
    row = ['<td data-label="Select record">01319691</td>', '<td data-label="Owner">Alice</td>']
    monkeypatch.setattr(quick_rows, "_make_items", lambda *_: iter(row))
    monkeypatch.setattr(quick_rows, "_make_headers", lambda _page: [{"text": "Conversation"}, {"text": "Owner"}])

    class Page:
        list_display = ("link", "owner")

    with override("en"):
        assert list(quick_rows.cells(Page(), None, None)) == ['<td data-label="Conversation">01319691</td>', row[1]]
        Page.list_display = ("action_checkbox", "owner")
        assert list(quick_rows.cells(Page(), None, None)) == row
