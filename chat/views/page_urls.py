"""The addresses that the script of the conversation page needs."""

from __future__ import annotations

import uuid
from typing import Final

from django.templatetags.static import static
from django.urls import reverse

from accounts.auth.websocket import SOCKET_PATH
from chat.views.page_files import stylesheet_urls

BLANK_ID: Final = uuid.UUID(int=0)  # in an address, where the page puts an id


def page_urls() -> dict[str, str]:
    """By the names that the script has for them."""
    return {
        "root": reverse("chat:new"),
        "ticket": reverse("ticket"),
        "socket": SOCKET_PATH,
        "models": reverse("chat:models"),
        "presets": reverse("chat:presets"),
        "prompts": reverse("chat:prompt_library"),
        "prompt_root": reverse("chat:prompts"),
        "conversations": reverse("chat:conversations"),
        "order": reverse("chat:list_order"),
        "organise": reverse("chat:organise"),
        "delete_all": reverse("chat:delete_all"),
        "trash": reverse("chat:trash"),
        "device_add": reverse("chat:device_add"),
        "report": reverse("chat:report", args=[BLANK_ID]),
        "search": reverse("chat:search"),
        "sheets": reverse("chat:sheets"),
        "sheets_styles": " ".join(stylesheet_urls("dialogs")),
        "fork": reverse("chat:fork", args=[BLANK_ID]),
        "edit": reverse("chat:message_edit", args=[BLANK_ID]),
        "delete": reverse("chat:message_delete", args=[BLANK_ID]),
        "login": reverse("account_login"),
        "settings": reverse("account_settings"),
        "settings_sheets": " ".join(stylesheet_urls("settings-sheet")),
        "icons": static("chat/img/icons.svg"),
        "file_icons": static("chat/img/file-icons.svg"),
        "collections": reverse("chat:collections"),
        "files_sheets": " ".join(stylesheet_urls("files")),
    }
