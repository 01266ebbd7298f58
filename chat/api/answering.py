"""One request of the API from its acceptance to its answer.

`submitted` hands the request to `chat.turns.submit` and follows its run; `read_pieces` gives the answer as it comes. A
client that leaves stops the run, unless it sent an `Idempotency-Key`: then it may come back for the answer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import structlog
from django.conf import settings

from accounts.auth.api_tokens import TokenAccess
from accounts.features import is_on
from accounts.lib.db import in_db
from accounts.lib.outage import OUTAGE
from accounts.lib.rate_limit import required_limits
from accounts.models.site import Feature
from chat.api.asked import Asked, Turn, Turns, check_turns
from chat.api.errors import ApiError, invalid, no_such_model, of_chat_error, of_run, unavailable
from chat.api.following import Piece, RunFollower, Sign
from chat.api.images import store_images
from chat.api.outcome import Begun, Outcome, read_calls, read_outcome
from chat.api.stopping import StopFilter
from chat.catalog.access import models_of
from chat.models import ACTIVE, ApiRequest, Run
from chat.protocol.commands import ApiSend
from chat.protocol.errors import ChatError
from chat.protocol.functions import CALL
from chat.realtime import rate_limits
from chat.runs.exact_request import read_exact
from chat.runs.token_probabilities import read_probabilities
from chat.turns import stop
from chat.turns.accepted import Accepted
from chat.turns.api_requests import written
from chat.turns.submit import Follow, submit

POLL_SECONDS: Final = 5.0  # PostgreSQL is asked after so long without an event
CHECK_SECONDS: Final = 30.0  # the token is checked again, in case the message of its end was lost

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Answering:
    """An answer under way. `outcome` is set once all pieces were read."""

    begun: Begun
    follower: RunFollower
    access: TokenAccess
    asked: Asked
    keeps_on: bool  # the run goes on when the client leaves
    outcome: Outcome | None = None

    async def read_pieces(self) -> AsyncIterator[list[Piece]]:
        """What is new of the answer, and an empty list now and then while nothing is. The end sets `outcome`.

        Raises `ApiError` where the answer cannot go on, and then its run is stopped.
        """
        stops = StopFilter(self.asked.stop)
        sent = 0  # code points of the answer that were passed on, before `stops`
        checked = time.monotonic()
        while True:
            pieces, sign = await self.follower.next(POLL_SECONDS)
            for kind, text in pieces:
                sent += len(text) if kind == "text" else 0
            if found := _filtered(pieces, stops):
                yield found
            if stops.hit:
                await self.stop()
                self.outcome = await self._with_logprobs((await self._ended()).cut_at(stops.text))
                return
            if sign is Sign.CHANGED and not self.asked.stream:
                sign = None  # nothing was sent yet: the answer is what it is in the end
            if sign is not None and sign is not Sign.ENDED:
                await self.stop()
                raise _ERRORS[sign]()
            if pieces and sign is None:
                continue
            outcome: Outcome | None = await in_db(read_outcome, self.begun.run_id, self.asked.form_name)
            if outcome is not None:
                seen = self.follower.text
                if self.asked.stream and not (outcome.text.startswith(seen) or seen.startswith(outcome.text)):
                    raise _changed()
                if rest := _filtered([("text", outcome.text[sent:])], stops, ended=True):
                    yield rest
                self.outcome = await self._with_logprobs(_cut(outcome, stops))
                return
            if time.monotonic() - checked > CHECK_SECONDS:
                checked = time.monotonic()
                await self.follower.on_change()
            yield []

    async def read_all(self) -> Outcome:
        """Waits for the whole answer. Raises `ApiError`, also for an answer that is not whole."""
        async for _ in self.read_pieces():
            pass
        assert self.outcome is not None
        if self.outcome.error is not None:
            raise self.outcome.error
        return self.outcome

    async def _with_logprobs(self, outcome: Outcome) -> Outcome:
        if self.asked.logprobs is None or outcome.error is not None:
            return outcome
        return replace(outcome, logprobs=await read_probabilities(self.begun.run_id, outcome.text))

    async def _ended(self) -> Outcome:
        """How the run ends that was just stopped."""
        for _ in range(20):
            outcome: Outcome | None = await in_db(read_outcome, self.begun.run_id, self.asked.form_name)
            if outcome is not None:
                return outcome
            await self.follower.next(0.5)
        return Outcome("", "", "stop", 0, 0, 0)

    async def stop(self) -> None:
        """Stops the run, if it has not ended."""
        await stop_run(self.access.user_id, self.begun.run_id)

    async def leave(self) -> None:
        """The client has gone."""
        if not self.keeps_on:
            await self.stop()


async def stop_run(user_id: uuid.UUID, run_id: uuid.UUID) -> None:
    """Stops a run, as far as PostgreSQL and Redis are there. Raises nothing."""
    try:
        await stop.stop(user_id, run_id)
    except (ChatError, *OUTAGE) as error:
        logger.warning("api_run_not_stopped", run=str(run_id), error=type(error).__name__)


@asynccontextmanager
async def submitted(access: TokenAccess, asked: Asked, address: str, key: str) -> AsyncIterator[Answering]:
    """Accepts a request and follows its run. The same `key` (`Idempotency-Key`) of a token finds the same run again.

    Raises `ApiError`, and one of `OUTAGE`.
    """
    client_id = uuid.uuid5(access.token_id, key) if key else uuid.uuid4()
    sent: Turns
    sent, temporary = await in_db(_prepare, access.user_id, asked)
    try:
        ids, placed = await in_db(store_images, access.user_id, client_id, sent.images) if sent.images else ([], [])
    except ChatError as error:
        raise of_chat_error(error) from error
    command = ApiSend(
        conversation_id=None, client_id=client_id, text=written(sent.turns, sent.notes), attachments=ids or None,
        placed=tuple(placed), model=asked.model, temporary=temporary, options=asked.options, turns=sent.turns,
        head=asked.head, token_id=access.token_id, top_p=asked.top_p, notes=sent.notes, choice=asked.choice,
        one_call=asked.one_call, logprobs=asked.logprobs,
    )  # fmt: skip
    followers: list[RunFollower] = []
    runs: list[uuid.UUID] = []

    @asynccontextmanager
    async def join(accepted: Accepted) -> AsyncIterator[Follow | None]:
        runs.append(accepted.run_id)
        follower = RunFollower(accepted.conversation_id, accepted.run_id, access)
        followers.append(follower)
        await follower.start()
        yield None

    try:
        try:
            await rate_limits.acquire(rate_limits.limits_of(command, access.user_id, access.session_hash, address))
            done = await submit(access.user_id, command, join=join)
        except ChatError as error:
            raise of_chat_error(error) from error
        except BaseException:
            if runs and not key:  # accepted, and nobody will ask for it again
                await stop_run(access.user_id, runs[0])
            raise
        accepted = done.accepted
        begun = Begun(accepted.run_id, accepted.conversation_id, asked.model, int(time.time()))
        yield Answering(begun, followers[0], access, asked, keeps_on=bool(key))
    finally:
        for follower in followers:
            await follower.stop()


async def acquire_rate(access: TokenAccess) -> None:
    """Counts a request of a token, under the site's limit and its own. Raises `ApiError`."""
    name = f"api:{access.token_id.hex}"
    limits = required_limits((name, settings.RATE_API), (access.rate and f"{name}:own", access.rate or "off"))
    try:
        await rate_limits.acquire(limits)
    except ChatError as error:
        raise of_chat_error(error) from error


def _prepare(user_id: uuid.UUID, asked: Asked) -> tuple[Turns, bool]:
    """The turns of a request, and whether its conversation is a temporary one. Raises `ApiError`.

    Clients leave `store` out. While staff have switched temporary chats off, such a request is kept, not refused.
    """
    return _turns_of(user_id, asked), not asked.store and is_on(Feature.TEMPORARY)


def _turns_of(user_id: uuid.UUID, asked: Asked) -> Turns:
    """The turns of a request, with those of the response that it follows. Raises `ApiError`."""
    offered = {one["id"] for one in models_of(user_id)}
    if not offered:
        raise unavailable("No model is available yet. Try again in a moment.")
    if asked.model not in offered:
        raise no_such_model(asked.model)
    if not asked.previous:
        return Turns(asked.turns, dict(asked.images), dict(asked.notes))
    head, own = asked.turns[: asked.head], asked.turns[asked.head :]
    before = _previous(user_id, asked.previous)

    def moved(number: int) -> int:
        return number + (len(before.turns) if number >= asked.head else 0)

    images = {asked.head + number: found for number, found in before.images.items()}
    images |= {moved(number): found for number, found in asked.images.items()}
    notes = {asked.head + number: note for number, note in before.notes.items()}
    called = dict(before.notes.values())
    notes |= {moved(number): (id_, name or called.get(id_, "")) for number, (id_, name) in asked.notes.items()}
    return check_turns([*head, *before.turns, *own], "input", settings.API_MAX_KB * 1024, images, notes)


def _previous(user_id: uuid.UUID, name: str) -> Turns:
    """The turns of an earlier response of this user, with its answer and calls, without the functions that it was
    offered. Raises `ApiError`.
    """
    gone = invalid(
        f"There is no response '{name}': it is not yours, has failed, or was deleted. Send its messages again.",
        "previous_response_id", "previous_response_not_found",
    )  # fmt: skip
    try:
        run_id = uuid.UUID(name.removeprefix("resp_"))
    except ValueError:
        raise gone from None
    run = Run.objects.select_related("message").filter(pk=run_id, requested_by=user_id).first()
    request = ApiRequest.objects.filter(message_id=run.prompt_id).first() if run else None
    if run is None or request is None or run.status in ACTIVE:
        raise gone
    calls = read_calls(run)
    if not run.message.text and not calls:
        raise gone
    if not run.conversation.memberships.filter(user_id=user_id).exists() or run.conversation.deleted_at is not None:
        raise gone
    sent = read_exact(request.turns[request.head :])
    turns: list[Turn] = [*sent.path, ("assistant", run.message.text)]
    notes = dict(sent.notes)
    for call in calls:
        notes[len(turns)] = (call.id, call.name)
        turns.append((CALL, call.arguments))
    return Turns(turns, dict(sent.placed), notes)


def _filtered(pieces: list[Piece], stops: StopFilter, *, ended: bool = False) -> list[Piece]:
    found = []
    for kind, text in pieces:
        passed = stops.feed(text) if kind == "text" else text
        if passed and not (kind == "reasoning" and stops.hit):
            found.append((kind, passed))
    if ended and not stops.hit and (rest := stops.end()):
        found.append(("text", rest))
    return found


def _cut(outcome: Outcome, stops: StopFilter) -> Outcome:
    return outcome.cut_at(stops.text) if stops.hit else outcome


def _held() -> ApiError:
    return of_run("moderated", "This waits for a reviewer because of this site's rules, so there is no answer.")


def _changed() -> ApiError:
    return of_run("moderated", "A part of the answer was withdrawn because of this site's rules.")


def _revoked() -> ApiError:
    return ApiError(
        401, "The token was revoked or has expired, or its account may not use the API.", code="token_ended"
    )


_ERRORS: Final = {Sign.HELD: _held, Sign.CHANGED: _changed, Sign.REVOKED: _revoked}
