"""The judges of the admin, as a worker uses them: read from their rows, and reloaded after changes."""

from __future__ import annotations

from functools import partial
from typing import cast

import django.db
import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from chat.models.moderation import Action, Category, Direction, Severity
from workers.endpoints.service import define, trouble_of
from workers.models import AwayPolicy, Judge
from workers.moderation.config import BackendKind, CategoryPolicy, JudgeDefinition, Mode
from workers.moderation.panel import Panel
from workers.moderation.registry import make_backend
from workers.providers.model_facts import ModelFacts

logger = structlog.get_logger(__name__)


def load_judges() -> list[JudgeDefinition]:
    """The judges that are switched on, by name. Raises a database error."""
    rows = Judge.objects.filter(enabled=True).select_related("endpoint").order_by("name")
    return [define_judge(row) for row in rows.prefetch_related("categories", "endpoint__models")]


def define_judge(row: Judge) -> JudgeDefinition:
    """The definition of `row`, with a `trouble` if its endpoint is off or has a key that cannot be decrypted."""
    endpoint = define(row.endpoint)
    return JudgeDefinition(
        id=str(row.pk),
        name=row.name,
        version=row.version,
        backend=cast("BackendKind", row.backend),
        model=row.model,
        endpoint=endpoint,
        directions=frozenset(Direction(direction) for direction in row.directions),
        mode=cast("Mode", row.mode),
        seconds=row.timeout,
        behind_seconds=row.behind_timeout,
        notice=row.notice,
        policies=tuple(
            CategoryPolicy(
                Category(one.category), one.threshold, Action(one.action), Severity(one.severity),
                closed=one.when_away == AwayPolicy.CLOSED,
            )
            for one in row.categories.all()
        ),
        trouble=trouble_of(row.endpoint, endpoint),
    )  # fmt: skip


class JudgeSync:
    """Keeps a worker's panel in step with the rows."""

    def __init__(self, facts: ModelFacts) -> None:
        self.panel = Panel(partial(make_backend, facts=facts), settings.MODEL_RETRY_SECONDS)

    async def open(self) -> None:
        """Reads the judges. Without the database `reload` does so later."""
        try:
            await self.reload()
        except (django.db.Error, *OUTAGE) as error:  # also: not migrated yet
            logger.warning("judges_read_failed", error=type(error).__name__, note="retried in a few seconds")

    async def reload(self) -> None:
        """Applies changes that staff made. Texts that are being judged keep the judge they have. Raises a database
        error.
        """
        judges = await in_db(load_judges)
        if self.panel.set_judges(judges):
            logger.info("judges_changed", judges=[judge.name for judge in judges])
