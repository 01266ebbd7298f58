"""The limits of a turn: answers in progress, and quotas."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.utils.translation import gettext as _

from accounts.quotas import reservations
from chat.models import Run
from chat.protocol.errors import Invalid, QuotaExceeded, RateLimited
from chat.telemetry import metrics


def check_runs_under_way(count: int, *, wanted: int = 1) -> None:
    """Raises `RateLimited` if a user who has `count` runs in progress may not begin `wanted` more."""
    limit = settings.RATE_RUNS_PER_USER
    if not 0 < limit < count + wanted:
        return
    metrics.denials["runs"] += 1
    if wanted > limit:
        raise Invalid(_("You can have at most %(limit)s answers in progress. Compare fewer models.") % {"limit": limit})
    message = _("Too many answers are in progress. Wait for one to finish, or stop one.")
    if wanted > 1 and count < limit:
        room = "only one more" if limit - count == 1 else f"only {limit - count} more"
        message = _(
            "There is room for %(room)s, and you asked for %(wanted)s answers. Wait for one to finish, or stop one."
        ) % {"room": room, "wanted": wanted}
    raise RateLimited(message, retry_after=5)


def reserve_quota(user_id: uuid.UUID, run: Run, *, text: str) -> None:
    """Reserves what a run that reads `text` may use. Raises `QuotaExceeded`."""
    try:
        reservations.reserve(user_id, run.pk, run.model, text=text)
    except reservations.QuotaFull as error:
        raise QuotaExceeded(str(error), retry_after=error.retry_after) from None
