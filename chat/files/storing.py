"""Files whose bytes the server has already, as those in the archive of an import: under the limits of uploads."""

from __future__ import annotations

import uuid
from collections.abc import Generator

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from chat.files import uploads
from chat.files.contents import take_in
from chat.files.quota import check_file_size, check_room, limits_of
from chat.models import File, Upload
from chat.protocol.errors import Conflict, Invalid


def store_file(
    user_id: uuid.UUID, file_id: uuid.UUID, name: str, size: int, pieces: Generator[bytes, None, None]
) -> File:
    """Stores a file of `size` bytes for the user, in no conversation yet. `name` was screened by the caller.

    With the same id again, it returns the file that was made before. While it is being stored it is an upload: its room
    counts, and what an interruption leaves behind is purged. Raises what `create_upload` and `finish_upload` raise, and
    what `pieces` raises.
    """
    if (made := uploads.finished(user_id, file_id)) is not None:
        return made
    if size <= 0:
        raise Invalid(_("This file is empty."))
    limits = limits_of(user_id)
    check_file_size(size, limits)
    uploads.discard([file_id])  # of an attempt that was interrupted
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).filter(pk=user_id).values("pk").first()
        check_room(user_id, size, limits, imported=True)
        upload = Upload.objects.create(id=file_id, owner_id=user_id, name=name, size=size)
    try:
        file = uploads.make_file(upload, take_in(file_id, pieces, name, size))
    except BaseException:
        uploads.discard([file_id])
        raise
    if file is None:
        raise Conflict(_("The upload of this file was cancelled."))
    return file
