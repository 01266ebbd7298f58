"""Links between admin pages."""

from __future__ import annotations

import uuid

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.models import Conversation


def page_link(model: str, id_: uuid.UUID | None) -> SafeString | str:
    """A link to one row's page, named by the end of its id; a dash without an id."""
    if id_ is None:
        return "–"
    # The last digits, since the first digits of time-ordered ids are all alike.
    return link(reverse(f"admin:chat_{model}_change", args=[id_]), str(id_)[-8:])


def list_link(model: str, conversation: Conversation, text: str) -> SafeString:
    """A link to the list of a conversation's rows."""
    address = reverse(f"admin:chat_{model}_changelist")
    return link(f"{address}?conversation__exact={conversation.pk}", text)


def link(address: str, text: str) -> SafeString:
    return format_html('<a class="text-primary-600 dark:text-primary-500" href="{}">{}</a>', address, text)
