"""The endpoints of the admin, as workers use them: read from their rows, and reloaded after changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import django.db
import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from accounts.lib.outage import OUTAGE
from workers.models import Endpoint, Use
from workers.providers.config import Definition, Timeouts
from workers.providers.discovery import Environment, make_client, publish_offered
from workers.providers.router import ModelRouter

UNREADABLE: Final = "Its API key cannot be decrypted: SECRET_KEY or ENCRYPTION_KEYS have changed since it was stored."

logger = structlog.get_logger(__name__)


def load_endpoints() -> list[Definition]:
    """The endpoints that are not off, in order. Two queries. Raises a database error."""
    rows = Endpoint.objects.exclude(use=Use.OFF).order_by("position", "id").prefetch_related("models")
    return [define(row) for row in rows]


def define(row: Endpoint) -> Definition:
    """The definition of `row` with its key, or with a `trouble` when the key cannot be decrypted."""
    key, trouble = "", ""
    try:
        key = row.read_key()
    except UnreadableError:
        trouble = UNREADABLE
    timeouts = Timeouts(
        connect=row.connect_timeout or settings.MODEL_CONNECT_TIMEOUT,
        first_chunk=row.first_chunk_timeout or settings.MODEL_FIRST_CHUNK_TIMEOUT,
        idle=row.idle_timeout or settings.MODEL_IDLE_TIMEOUT,
        total=row.total_timeout or settings.MODEL_TOTAL_TIMEOUT,
    )
    return Definition(
        id=str(row.pk),
        name=row.name,
        base_url=row.base_url,
        api_key=key,
        models=tuple((model.name, model.label or model.name) for model in row.models.all()),
        offered=row.use == Use.OFFERED,
        shown=frozenset(row.shown_models),
        hidden=frozenset(row.hidden_models),
        fallback=str(row.fallback_id or ""),
        fallback_model=row.fallback_model,
        timeouts=timeouts,
        model_timeouts=tuple(
            (
                model.name,
                replace(
                    timeouts,
                    first_chunk=model.first_chunk_timeout or timeouts.first_chunk,
                    idle=model.idle_timeout or timeouts.idle,
                    total=model.total_timeout or timeouts.total,
                ),
            )
            for model in row.models.all()
            if model.first_chunk_timeout or model.idle_timeout or model.total_timeout
        ),
        prefill=row.prefill,
        strict=True,
        trouble=trouble,
    )


class EndpointSync:
    """Keeps a worker's router in step with the endpoints of its environment and of the rows."""

    def __init__(self) -> None:
        self.environment = Environment()
        self.router = ModelRouter(make_client, settings.MODEL_RETRY_SECONDS)
        self._known = False  # the rows have been read

    async def open(self) -> None:
        """Reads the endpoints and opens the connections that the first answer must not wait for."""
        try:
            rows = await in_db(load_endpoints)
            self._known = True
        except (django.db.Error, *OUTAGE) as error:  # also: not migrated yet
            logger.warning("endpoints_read_failed", error=type(error).__name__, note="retried in a few seconds")
            rows = []
        self.router.set_endpoints(self.environment.with_rows(rows))
        await self.router.open()

    async def publish(self) -> None:
        """Publishes the offered models for the web processes. Raises `ProviderError` or a Redis error."""
        if self._known:  # else the demo model might be offered although endpoints are set up
            await publish_offered(self.router)

    async def reload(self) -> None:
        """Applies changes that staff made. Answers in progress continue with the old configuration."""
        endpoints = self.environment.with_rows(await in_db(load_endpoints))
        if self.router.set_endpoints(endpoints) or not self._known:
            self._known = True
            logger.info("endpoints_changed", endpoints=[endpoint.name for endpoint in endpoints])
            await publish_offered(self.router)
