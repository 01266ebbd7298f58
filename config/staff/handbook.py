"""Shows the handbook for staff, docs/staff.md, as a page of the admin."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Final

from django.conf import settings
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext

PATH: Final = Path(settings.BASE_DIR) / "docs" / "staff.md"
# The end of a line within a paragraph or an item of a list. The dialect of the chat would keep it as a line break.
WRAPPED: Final = re.compile(r"(?<=[^\n|])\n *(?![\n|#>]|[-*] |\d+\. )(?=\S)")


def show_handbook(request: HttpRequest) -> HttpResponse:
    """The page; 404 where the project is installed without its docs, in which case the sidebar has no link."""
    if not PATH.exists():
        raise Http404
    context = {**admin.site.each_context(request), "title": gettext("Help"), "text": read_handbook()}
    return TemplateResponse(request, "admin/help.html", context)


@functools.cache
def read_handbook() -> SafeString:
    """The handbook as sanitised HTML, without its first heading, images and links to other files (not served).

    The file is the project's own, so this process renders it, once.
    """
    from chat.markdown.rendering import render  # the parser is loaded only where somebody reads the handbook

    text = PATH.read_text().partition("\n")[2]
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return mark_safe(render(WRAPPED.sub(" ", text)))  # noqa: S308 -- `render` sanitises
