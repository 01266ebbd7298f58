"""The endpoints of the admin, as workers use them: read from their rows, and reloaded after changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final

import django.db
import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.encryption import UnreadableError
from accounts.lib.outage import OUTAGE
from accounts.lib.redis import async_redis
from chat.catalog.offered_models import KEY, publish_models
from workers.endpoints.known_models import apply_decisions, listed_models, read_decisions, record_listed
from workers.endpoints.model_facts import load_facts, store_facts
from workers.models import Endpoint, Use
from workers.providers.config import NO_EXTRAS, Definition, Extras, Timeouts
from workers.providers.discovery import Environment, make_client, publish_offered
from workers.providers.model_facts import ModelFacts
from workers.providers.router import ModelRouter
from workers.providers.vocabularies import load_vocabularies

UNREADABLE: Final = (
    "Its API key or a header cannot be decrypted: SECRET_KEY or ENCRYPTION_KEYS have changed since it was stored."
)
ENDPOINT_OFF: Final = "Its endpoint is off."

logger = structlog.get_logger(__name__)


def load_endpoints() -> list[Definition]:
    """The endpoints that are not off, in order. Two queries. Raises a database error."""
    rows = Endpoint.objects.exclude(use=Use.OFF).order_by("position", "id").prefetch_related("models")
    return [define(row) for row in rows]


def define(row: Endpoint) -> Definition:
    """The definition of `row` with its key, or with a `trouble` when the key cannot be decrypted."""
    key, trouble = "", ""
    extras = NO_EXTRAS
    model_extras: list[tuple[str, Extras]] = []
    try:
        key, extras = row.read_key(), row.read_extras()
        model_extras = [(model.name, model.read_extras()) for model in row.models.all()]
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
        kind=row.api,
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
        extras=extras,
        model_extras=tuple((name, own) for name, own in model_extras if own != NO_EXTRAS),
        windows=tuple(sorted(_windows(row).items())),
        prefill=row.prefill,
        strict=True,
        trouble=trouble,
    )


def trouble_of(row: Endpoint, defined: Definition) -> str:
    """Why what asks this endpoint alone, such as a judge, cannot be used; empty: it can."""
    return defined.trouble or (ENDPOINT_OFF if row.use == Use.OFF else "")


def _windows(row: Endpoint) -> dict[str, int]:
    """The context windows that staff set, by model."""
    return {**row.model_windows, **{model.name: model.window for model in row.models.all() if model.window}}


class EndpointSync:
    """Keeps a worker's router in step with the endpoints of its environment and of the rows."""

    def __init__(self) -> None:
        self.environment = Environment()
        facts = ModelFacts()
        self.router = ModelRouter(partial(make_client, facts=facts), settings.MODEL_RETRY_SECONDS, facts)
        self._known = False  # the rows have been read

    async def open(self) -> None:
        """Reads the endpoints, loads what tokens are counted with, and opens the connections that the first answer must
        not wait for.
        """
        self.router.facts.vocabularies = await asyncio.to_thread(load_vocabularies, settings.TOKENIZERS_DIR)
        try:
            endpoints = await in_db(self._load)
            self._known = True
            self.router.facts.load(await in_db(load_facts))
        except (django.db.Error, *OUTAGE) as error:  # also: not migrated yet
            logger.warning("endpoints_read_failed", error=type(error).__name__, note="retried in a few seconds")
            endpoints = self.environment.with_rows([])
        self.router.set_endpoints(endpoints)
        await self.router.open()

    async def publish(self) -> None:
        """Publishes the offered models for the web processes. Raises `ProviderError` or a Redis error."""
        if self._known:  # else the demo model might be offered although endpoints are set up
            await publish_offered(self.router)
            await self._record()

    async def share_facts(self) -> None:
        """Stores what this worker has learnt about models, and reads what others have. Raises a database error."""
        facts = self.router.facts
        changed = facts.take_changed()
        try:
            await in_db(store_facts, changed)
            facts.load(await in_db(load_facts))
        except BaseException:
            facts.put_back(changed)
            raise

    async def reload(self) -> None:
        """Applies changes that staff made. Answers in progress continue with the old configuration. Publishes the
        models again if Redis has lost them: without any, no message is accepted.
        """
        endpoints = await in_db(self._load)
        if self.router.set_endpoints(endpoints) or not self._known:
            self._known = True
            logger.info("endpoints_changed", endpoints=[endpoint.name for endpoint in endpoints])
            await publish_offered(self.router)
            await self._record()
        elif self.router.catalog and not await async_redis().exists(KEY):  # Redis has lost its data
            await asyncio.to_thread(publish_models, self.router.catalog)

    def _load(self) -> list[Definition]:
        """All endpoints with what staff decided about their models. Three queries. Raises a database error."""
        return apply_decisions(self.environment.with_rows(load_endpoints()), read_decisions())

    async def _record(self) -> None:
        """Writes the listed models for the admin. Without the database, the next call does."""
        try:
            await in_db(record_listed, listed_models(self.router))
        except (django.db.Error, *OUTAGE) as error:
            logger.warning("listed_models_not_recorded", error=type(error).__name__)
