"""Files for readers of a share link, where its creator chose to show them."""

from __future__ import annotations

import uuid

from django.utils.translation import gettext as _

from chat.conversations.branches import path_ids
from chat.files.access import GONE, shown_attachments, shown_in_messages, unread_images
from chat.models import File, ShareKind, ShareLink
from chat.protocol.errors import NotFound
from chat.shares.reading import LONGEST_PATH


def shared_file(link: ShareLink, file_id: uuid.UUID) -> File:
    """A file of a message that the link shows. The caller has checked that the reader may read. Raises `NotFound`.

    An image is shown once it was read: its place is removed from it then.
    """
    file = None
    if link.show_files:
        rows = File.objects.select_related("blob").filter(shown_in_messages(), conversation=link.conversation_id)
        file = rows.exclude(unread_images()).filter(pk=file_id).first()
    if file is None or not _is_shown(link, file):
        raise NotFound(_(GONE))
    return file


def _is_shown(link: ShareLink, file: File) -> bool:
    """Whether one of the file's messages that readers see is among those of the link: it may have been sent after the
    snapshot, or on another branch. One that is deleted or withheld shows no file, though another branch has it, too.
    """
    messages = shown_attachments().filter(file=file).values_list("message_id", flat=True)
    if link.kind == ShareKind.SNAPSHOT:
        return link.shared_messages.filter(message__in=messages).exists()
    path = path_ids(link.conversation_id, link.conversation.tip_id, limit=LONGEST_PATH)
    return not set(path).isdisjoint(messages)
