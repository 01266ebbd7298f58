"""The collections that a new conversation begins with: its first message's, else its preset's and its folder's."""

from __future__ import annotations

import uuid
from typing import Final

from django.db import connection
from django.utils.translation import gettext as _

from chat.files.collections import Chosen, usable_collections
from chat.models import Collection, Folder, Preset
from chat.protocol.errors import Invalid

_INHERIT: Final = """
INSERT INTO chat_conversation_collections (conversation_id, collection_id)
SELECT %(conversation)s, collection_id FROM (
    SELECT collection_id FROM chat_preset_collections WHERE preset_id = %(preset)s
    UNION SELECT collection_id FROM chat_folder_collections WHERE folder_id = %(folder)s
) AS chosen
"""


def begin_with_collections(
    user_id: uuid.UUID,
    conversation_id: uuid.UUID,
    wanted: list[uuid.UUID] | None,
    preset: Preset | None,
    folder: Folder | None,
) -> None:
    """Gives a new conversation its collections, within its transaction; no query where there is nothing to choose from.

    Raises `Invalid` if the sender may not use one that the message names. Those of a preset or folder are taken as they
    are: each answer asks again what may be used.
    """
    if wanted is None:
        if preset is not None or folder is not None:
            values: dict[str, uuid.UUID | None] = {
                "conversation": conversation_id, "preset": preset.pk if preset else None,
                "folder": folder.pk if folder else None,
            }  # fmt: skip
            with connection.cursor() as cursor:
                cursor.execute(_INHERIT, values)
        return
    ids = set(wanted)
    if not ids:
        return
    usable = usable_collections(user_id).filter(pk__in=ids).values("pk")
    found = Collection.objects.select_for_update(no_key=True).filter(pk__in=usable).values_list("pk", flat=True)
    if len(found) < len(ids):
        raise Invalid(_("One of the collections is no longer available. Choose again."))
    Chosen.objects.bulk_create([Chosen(conversation_id=conversation_id, collection_id=pk) for pk in found])
