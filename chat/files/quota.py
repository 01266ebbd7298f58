"""How large files may be, and how much of them one person may keep: by their plan, else by the settings."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.db.models import Sum
from django.utils.translation import gettext as _

from accounts.features import is_on
from accounts.lib.formatting import file_size
from accounts.lib.texts import gettext_noop
from accounts.models import User
from accounts.models.site import Feature
from accounts.quotas.plans import plan_field
from chat.models import Blob, File, ImportJob, TransferState, Upload
from chat.protocol.errors import QuotaExceeded, RateLimited, TooLarge

MIB: Final = 1024 * 1024
NO_UPLOADS: Final = gettext_noop("Files can't be uploaded on this site.")


@dataclass(frozen=True, slots=True)
class Limits:
    """In bytes. `storage` is None where there is no limit."""

    file: int
    storage: int | None


@dataclass(frozen=True, slots=True)
class Used:
    """In bytes: the files that a person has, what their uploads in progress have announced, and the file of an import
    that has not ended.
    """

    files: int
    uploads: int
    imports: int = 0

    @property
    def all(self) -> int:
        return self.files + self.uploads + self.imports


def file_megabytes(of_plan: int | None) -> int:
    """How large a file may be, by the plan if it says so. 0: none."""
    return int(settings.FILE_MAX_MB if of_plan is None else of_plan)


def upload_megabytes(of_plan: int | None) -> int:
    """How large a file may be that people upload. 0: none, also while that is switched off."""
    return file_megabytes(of_plan) if is_on(Feature.UPLOADS) else 0


def limits_of(user_id: uuid.UUID) -> Limits:
    """The limits of a user; the plan's where it has one."""
    row = (
        User.objects.filter(pk=user_id)
        .annotate(largest=plan_field("file_mb"), most=plan_field("storage_mb"))
        .values_list("largest", "most")
        .first()
    )
    largest, most = row or (None, None)
    file = file_megabytes(largest)
    storage = (settings.STORAGE_MB or None) if most is None else most
    return Limits(file * MIB, None if storage is None else storage * MIB)


def used_by(user_id: uuid.UUID) -> Used:
    """What a user's files, uploads and imports take. A content that several of their files share counts once."""
    blobs = Blob.objects.filter(pk__in=File.objects.filter(owner=user_id).values("blob"))
    files = blobs.aggregate(sum=Sum("size"))["sum"] or 0
    uploads = Upload.objects.filter(owner=user_id).aggregate(sum=Sum("size"))["sum"] or 0
    jobs = ImportJob.objects.filter(user=user_id, state__in=(TransferState.WAITING, TransferState.RUNNING))
    imports = jobs.aggregate(sum=Sum("size"))["sum"] or 0
    return Used(int(files), int(uploads), int(imports))


def check_upload_size(size: int, limits: Limits) -> None:
    """Of a file that people upload. Raises `TooLarge`, also while that is switched off; imports go on then."""
    if not is_on(Feature.UPLOADS):
        raise TooLarge(_(NO_UPLOADS))
    check_file_size(size, limits)


def check_file_size(size: int, limits: Limits) -> None:
    """Raises `TooLarge`."""
    if not limits.file:
        raise TooLarge(_(NO_UPLOADS))
    if size > limits.file:
        raise TooLarge(
            _("This file is too large: %(size)s. A file can have at most %(limit)s.")
            % {"size": file_size(size), "limit": file_size(limits.file)}
        )


def check_room(user_id: uuid.UUID, size: int, limits: Limits, *, imported: bool = False) -> None:
    """Raises `QuotaExceeded` if `size` bytes more are too many, and `RateLimited` for too many uploads at once.

    `imported`: the bytes come from the file of the user's import, which does not count beside them.
    Exact only while the user's row is locked.
    """
    if not imported and Upload.objects.filter(owner=user_id).count() >= settings.UPLOADS_PER_USER:
        raise RateLimited(_("Too many uploads are in progress. Finish or cancel some of them first."))
    if limits.storage is None:
        return
    used = used_by(user_id)
    free = max(0, limits.storage - used.all + (used.imports if imported else 0))
    if size > free:
        raise QuotaExceeded(
            _(
                "There is no room for this file: it has %(size)s, and %(free)s of your %(limit)s are free. "
                "Delete files that you no longer need under “Files”."
            )
            % {"size": file_size(size), "free": file_size(free), "limit": file_size(limits.storage)}
        )
