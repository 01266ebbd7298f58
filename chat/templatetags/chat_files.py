"""Template filters of files. They must match js/files/words.js and message-files.js."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django import template
from django.templatetags.static import static
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.lib.formatting import file_size
from accounts.lib.names import isolate
from accounts.lib.texts import gettext_noop

register = template.Library()

VIEWED: Final = ("image", "pdf", "document", "table", "text")  # in the page; others are downloaded
INLINE: Final = ("image", "pdf")  # that browsers show
KINDS: Final = {
    "image": gettext_noop("Image"),
    "document": gettext_noop("Document"),
    "table": gettext_noop("Table"),
    "text": gettext_noop("Text"),
    "other": gettext_noop("File"),
}


@register.filter
def have_files(messages: Iterable[dict[str, Any]] | None) -> bool:
    """Whether any of some messages has files, or an answer whose model got some."""
    return any(
        one.get("files") or one.get("deleted_files") or (one.get("run") or {}).get("files") for one in messages or ()
    )


@register.filter
def files_json(files: list[dict[str, Any]] | str) -> str:
    """Files as JSON, for the script of the page."""
    return json.dumps(files or [], separators=(",", ":"), default=str)


@register.filter
def file_url(file: dict[str, Any]) -> str:
    """Where a file is shown, or downloaded from."""
    return reverse("chat:file", args=[file["id"]]) + ("?view=1" if file["kind"] in INLINE else "")


@register.simple_tag
def shared_address(file: dict[str, Any], token: str, key: str = "", part: str = "") -> str:
    """Where readers of a share link get a file, or its `part`: "thumbnail". Without a token: where members get it."""
    if part:
        address = reverse("chat:shared_thumbnail", args=[token, file["id"]]) if token else _thumbnail(file)
        query = {}
    else:
        address = (
            reverse("chat:shared_file", args=[token, file["id"]]) if token else reverse("chat:file", args=[file["id"]])
        )
        query = {"view": "1"} if file["kind"] in INLINE else {}
    if key:
        query["key"] = key
    return f"{address}?{urlencode(query)}" if query else address


def _thumbnail(file: dict[str, Any]) -> str:
    return reverse("chat:file_thumbnail", args=[file["id"]])


@register.filter
def is_viewed(file: dict[str, Any]) -> bool:
    """Whether the page can show it."""
    return file["kind"] in VIEWED


@register.filter
def is_unsearchable(file: dict[str, Any]) -> bool:
    """Whether a file was read, or could not be, and has no text: answers from a collection do without it."""
    return file["state"] != "pending" and not file.get("characters")


@register.filter
def is_picture(file: dict[str, Any]) -> bool:
    """Whether models that see can get it as images: a picture, or a scan."""
    return file["state"] in ("read", "empty") and file["kind"] in INLINE


@register.filter
def file_icon(file: dict[str, Any]) -> SafeString:
    """The sign of its kind."""
    return _icon(file["kind"] if file["kind"] in ("image", "table") else "file")


@register.filter
def uses_icon(uses: list[dict[str, Any]]) -> SafeString:
    """The sign of the line that says what the model got."""
    return _icon("file")


def _icon(name: str) -> SafeString:
    sprite = static("chat/img/file-icons.svg")
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', sprite, name)


@register.filter
def file_words(file: dict[str, Any]) -> str:
    """What a file is, how large, and how far it was read: `PDF · 1.2 MB · 40 pages · being read…`."""
    kind, pages = file["kind"], file.get("parts")
    parts = ["PDF" if kind == "pdf" else str(_(KINDS.get(kind, KINDS["other"]))), file_size(file["size"])]
    if kind == "pdf" and pages:
        parts.append(ngettext("%(count)s page", "%(count)s pages", pages) % {"count": pages})
    return " · ".join(isolate(part) for part in (*parts, _state(file)) if part)


@register.filter
def file_date(file: dict[str, Any]) -> str:
    """The day on which it was uploaded, in the site's zone."""
    return date_format(datetime.fromisoformat(file["created_at"]), "SHORT_DATE_FORMAT")


@register.filter
def nine_tenths(value: int) -> str:
    """Where a meter warns, as HTML has numbers."""
    return str(value * 9 // 10)


def _state(file: dict[str, Any]) -> str:
    reason = file.get("reason")
    match file["state"]:
        case "pending":
            return str(_("being read…"))
        case "failed":
            return str(_("not readable: %(reason)s") % {"reason": reason}) if reason else str(_("not readable"))
        case "empty" if file["kind"] != "image":
            return str(reason or _("no text found"))
        case "read":
            return str(reason or "")
    return ""


@register.filter
def uses_words(uses: list[dict[str, Any]]) -> str:
    """What a model got of files, one after the other. Of reasons in between, the full stop is left out."""
    words = [use_words(one) for one in uses]
    return "; ".join([*(one.removesuffix(".") for one in words[:-1]), *words[-1:]])


def use_words(use: dict[str, Any]) -> str:
    """What a model got of one file: `3 of 40 pages of report.pdf`."""
    given, total, reason = use["given"], use["total"], use.get("reason")
    name = isolate(use["name"] or _("a deleted file"))
    match use["use"]:
        case "image":
            return str(name)
        case "full":
            words = _("all of %(name)s") % {"name": name}
            return f"{words} ({reason})" if reason else str(words)
        case "collection" if given:
            if given == total:
                words = ngettext("%(count)s file of %(name)s", "all %(count)s files of %(name)s", total)
            else:
                words = ngettext(
                    "%(given)s of %(count)s file of %(name)s", "%(given)s of %(count)s files of %(name)s", total
                )  # fmt: skip
            words = words % {"given": given, "count": total, "name": name}
            return f"{words} ({reason})" if reason else str(words)
        case "none" | "collection" if reason:
            return str(_("nothing of %(name)s: %(reason)s") % {"name": name, "reason": reason})
        case "none" | "collection":
            return str(_("nothing of %(name)s") % {"name": name})
    if total > 1:
        words = ngettext("%(given)s of %(count)s page of %(name)s", "%(given)s of %(count)s pages of %(name)s", total)
        words = words % {"given": given, "count": total, "name": name}
    else:
        words = _("passages of %(name)s") % {"name": name}
    return f"{words} ({reason})" if reason else str(words)
