"""Routes each answer to the endpoint that serves its model, for all endpoints of a worker.

Endpoints can change while answers stream (`set_endpoints`). An endpoint with unchanged address, key and timeouts keeps
its connections and its circuit breaker. A removed endpoint is closed after its last answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import structlog
from django.utils.translation import gettext as _

from chat.catalog.offered_models import PUBLISHED_SECONDS, PublishedModel
from workers.providers.base import DEFAULT, ChatModel, ChatTurn, Chunk, ListedModel, OnRequest, Options, ProviderError
from workers.providers.circuit_breaker import CircuitBreaker, ModelBreakers
from workers.providers.config import Definition
from workers.providers.failover import GuardedEndpoint, GuardedModel
from workers.providers.model_facts import ModelFacts
from workers.providers.selection import make_labels, offered, select_offered
from workers.providers.windows import ModelWindow, resolve_window

logger = structlog.get_logger(__name__)

REFRESH_SECONDS: Final = 5.0  # the shortest time between two refreshes for a model that no endpoint is known to serve

# The preferred default when none is configured.
PREFERRED: Final = ("gpt-5-mini", "gpt-5", "gpt-4.1-mini", "gpt-4o-mini")


def _preference(model: ListedModel) -> int:
    return PREFERRED.index(model.id) if model.id in PREFERRED else len(PREFERRED)


class Offer(PublishedModel):
    """An offered model, and the id of the endpoint that serves it."""

    endpoint: str


class RouterMember:
    """An endpoint of the router."""

    def __init__(self, definition: Definition, chat: ChatModel, breaker: CircuitBreaker) -> None:
        self.definition = definition
        self.chat = chat
        self.breaker = breaker
        self.breakers = ModelBreakers(breaker.seconds)
        self.listed: list[ListedModel] | None = None  # the models of its last successful response
        self.known_at = time.monotonic()  # when that was; at first, when this object was created
        self.failure: ProviderError | None = None  # why the last request failed
        self.streams = 0
        self.retired = False

    def window_of(self, model: str, listed: int | None, facts: ModelFacts) -> ModelWindow:
        """The context window of one of its models, for which its list says `listed`."""
        endpoint = self.definition.ledger_name
        learnt = facts.of(endpoint, model)
        staff = next((tokens for name, tokens in self.definition.windows if name == model), None)
        window = resolve_window(staff, listed, learnt.window if learnt else None, learnt.window_at if learnt else None)
        return ModelWindow(model, endpoint, window.tokens, window.source, facts.count(endpoint, model))

    def takes_tools(self, model: str, listed: bool | None, facts: ModelFacts) -> bool | None:
        """Whether one of its models calls tools, for which its list says `listed`."""
        said = next((calls for name, calls in self.definition.tools if name == model), None)
        if said is not None:
            return said
        return False if facts.refuses_tools(self.definition.ledger_name, model) else listed

    def offers(self, published: Mapping[str, list[PublishedModel]]) -> list[PublishedModel]:
        """Its offered models: those that staff named, else those it lists, else those that were published before."""
        if self.definition.models:
            known = {model.id: model for model in self.listed or ()}
            return [offered(known.get(name, ListedModel(name)), label) for name, label in self.definition.models]
        if time.monotonic() - self.known_at > PUBLISHED_SECONDS:
            return []  # it has been unreachable for too long
        if self.listed is None:
            return published.get(self.definition.id, [])
        found = sorted(select_offered(self.listed, self.definition), key=_preference)
        return [offered(model, label) for model, label in zip(found, make_labels(found), strict=True)]


class Route:
    """The endpoint that answers for a model, and its fallback."""

    def __init__(self, members: Sequence[RouterMember]) -> None:
        self.members = list(members)
        first, *others = members
        self.model = GuardedModel(
            [GuardedEndpoint(first.chat, first.breaker, models=first.breakers)]
            + [GuardedEndpoint(one.chat, one.breaker, first.definition.fallback_model, one.breakers) for one in others]
        )


class ModelRouter:
    """A `ChatModel`. `make` creates the client of an endpoint; a circuit breaker stays open for `seconds`. `facts` is
    what is known of the models.
    """

    def __init__(
        self, make: Callable[[Definition], ChatModel], seconds: float, facts: ModelFacts | None = None
    ) -> None:
        self.members: dict[str, RouterMember] = {}
        self.definitions: list[Definition] = []
        self.catalog: list[Offer] = []
        self.facts = facts or ModelFacts()
        self._make = make
        self._seconds = seconds
        self._routes: dict[str, Route] = {}
        self._listed: dict[str, PublishedModel] = {}
        self._published: dict[str, list[PublishedModel]] = {}
        self._refreshed_at = 0.0
        self._refreshing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    def set_endpoints(self, definitions: Sequence[Definition]) -> bool:
        """Replaces the endpoints, in order. Returns False when nothing changed. New ones have no models yet."""
        if list(definitions) == self.definitions:
            return False
        members: dict[str, RouterMember] = {}
        for definition in definitions:
            if definition.trouble:
                logger.error("model_endpoint_unusable", endpoint=definition.name, trouble=definition.trouble)
                continue
            old = self.members.get(definition.id)
            if old is not None and old.definition.connection == definition.connection:
                old.definition = definition
                members[definition.id] = old
            else:
                members[definition.id] = RouterMember(definition, self._make(definition), CircuitBreaker(self._seconds))
        gone = [old for name, old in self.members.items() if members.get(name) is not old]
        self.members, self.definitions = members, list(definitions)
        self._route()
        for member in gone:
            member.retired = True
            self._close_idle(member)
        return True

    def window_of(self, model: str) -> ModelWindow:
        """The context window of a model at the endpoint that serves it, and who says so. Thread-safe."""
        route = self._routes.get(model)
        members = route.members if route else [one for one in self.members.values() if one.definition.offered]
        if route is None and len(members) != 1:
            return ModelWindow(model)
        return members[0].window_of(model, self._as_listed(model).get("window"), self.facts)

    def takes_tools(self, model: str) -> bool | None:
        """Whether a model calls tools at the endpoint that serves it: as staff said, else as the model has said by
        refusing them, else as its endpoint lists it. None: nobody knows. Thread-safe.
        """
        route = self._routes.get(model)
        members = route.members if route else [one for one in self.members.values() if one.definition.offered]
        if route is None and len(members) != 1:
            return None
        return members[0].takes_tools(model, self._as_listed(model).get("tools"), self.facts)

    def sees(self, model: str) -> bool | None:
        """Whether a model takes images, as its endpoint lists it. None: nobody knows. Thread-safe."""
        return self._as_listed(model).get("sees")

    def _as_listed(self, model: str) -> PublishedModel:
        return self._listed.get(model) or PublishedModel(id=model, label=model)

    def set_published(self, published: Mapping[str, list[PublishedModel]]) -> None:
        """Sets the published models of each endpoint, for endpoints that have not responded yet."""
        self._published = dict(published)
        self._route()

    async def refresh(self) -> None:
        """Requests the models of all endpoints at once. One that fails keeps the models it had."""
        self._refreshed_at = time.monotonic()
        await asyncio.gather(*(self._refresh_member(member) for member in list(self.members.values())))
        self._route()

    async def _refresh_member(self, member: RouterMember) -> None:
        member.streams += 1  # so that it is not closed in between
        try:
            member.listed, member.failure = await member.chat.list_models(), None
            member.known_at = time.monotonic()
            self._route()
        except ProviderError as failure:
            member.failure = failure
        finally:
            self._leave(member)

    def _route(self) -> None:
        """Rebuilds the routes. If two endpoints offer the same model, the first one serves it."""
        catalog: list[Offer] = []
        routes: dict[str, Route] = {}
        listed: dict[str, PublishedModel] = {}
        for member in self.members.values():
            if not member.definition.offered:
                continue
            standby = self.members.get(member.definition.fallback)
            route = Route([member, standby] if standby is not None and standby is not member else [member])
            for model in member.offers(self._published):
                if model["id"] not in routes:
                    routes[model["id"]] = route
                    offer = self._offer(model, member.definition)
                    listed[model["id"]] = model
                    if (calls := member.takes_tools(model["id"], model.get("tools"), self.facts)) is not None:
                        offer["tools"] = calls
                    if tokens := member.window_of(model["id"], model.get("window"), self.facts).tokens:
                        offer["window"] = tokens
                    offer.pop("refuses", None)  # of what another worker published
                    if refused := self.facts.refused_parameters(member.definition.ledger_name, model["id"]):
                        offer["refuses"] = refused
                    catalog.append(offer)
        self._routes, self.catalog, self._listed = routes, catalog, listed

    @staticmethod
    def _offer(model: PublishedModel, definition: Definition) -> Offer:
        where = {"endpoint": definition.id, "endpoint_name": definition.public_name, "host": definition.host}
        return Offer(**{**model, **where})  # type: ignore[typeddict-item]

    async def open(self) -> None:
        """Requests the lists of models, which leaves warm connections."""
        await self.refresh()

    async def close(self) -> None:
        for member in self.members.values():
            await member.chat.close()
        if self._closing:
            await asyncio.wait(self._closing)

    async def models(self) -> list[str]:
        """The offered models. Raises the first endpoint's error when no endpoint responds and no models are known."""
        await self.refresh()
        failures = [member.failure for member in self.members.values() if member.failure is not None]
        if not self.catalog and failures:
            raise failures[0].with_traceback(None)
        return [model["id"] for model in self.catalog]

    async def list_models(self) -> list[ListedModel]:
        """Everything that the endpoints list, without asking them again."""
        return [model for member in self.members.values() for model in member.listed or ()]

    @contextlib.asynccontextmanager
    async def stream(
        self,
        model: str,
        turns: Sequence[ChatTurn],
        *,
        options: Options = DEFAULT,
        on_request: OnRequest | None = None,
    ) -> AsyncGenerator[AsyncIterator[list[Chunk]]]:
        route = self._routes.get(model) or await self._find(model)
        for member in route.members:
            member.streams += 1
        try:
            async with route.model.stream(model, turns, options=options, on_request=on_request) as answer:
                yield answer
        finally:
            for member in route.members:
                self._leave(member)

    async def _find(self, model: str) -> Route:
        """The route of a model that this worker does not know yet. Raises `ProviderError` when no endpoint offers it.

        Another worker may have discovered it a moment ago. A single endpoint gets every request, whatever it lists.
        """
        async with self._refreshing:
            if model not in self._routes and time.monotonic() - self._refreshed_at > REFRESH_SECONDS:
                await self.refresh()
        offered = [member for member in self.members.values() if member.definition.offered]
        if model not in self._routes and len(offered) == 1:
            return next(iter(self._routes.values()), Route(offered))
        try:
            return self._routes[model]
        except KeyError:
            pass
        raise ProviderError(
            "model_not_found", _("This model is no longer available. Choose another one."), detail="no endpoint"
        )

    def _leave(self, member: RouterMember) -> None:
        member.streams -= 1
        self._close_idle(member)

    def _close_idle(self, member: RouterMember) -> None:
        if member.retired and member.streams == 0:
            task = asyncio.get_running_loop().create_task(member.chat.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
