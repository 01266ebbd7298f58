"""Summarises the oldest messages of a conversation that nearly fills its model's window, after an answer has ended.

The next questions are sent with the summary instead of these messages. It is made in the background of the worker that
wrote the answer. Until it is there, or if it fails, the oldest messages are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import structlog
from django.conf import settings

from accounts.lib.db import in_db
from accounts.lib.redis import async_redis
from accounts.quotas.settlement import Used
from chat.conversations.summaries import may_summarise, store_summary
from chat.eventlog import events, store
from chat.models.moderation import Direction
from chat.moderation.answers import screen_written
from chat.runs.context import Branch, ClaimedRun, read_branch
from workers.generation.background import SAME, ask_in_background
from workers.generation.judging_costs import judge_written
from workers.generation.request_context import KnownModels, RequestContext, request_budget, usable_window
from workers.generation.summary_plan import NEARLY, SUMMARY_TOKENS, choose_end, is_full, make_part
from workers.moderation.panel import Panel, no_judges
from workers.providers.base import ChatModel, ChatTurn, ProviderError

MOST_MESSAGES: Final = 20_000  # of a branch
MOST_PARTS: Final = 8  # requests for one summary
LEAST_MESSAGES: Final = 2
TRYING_SECONDS: Final = 600  # meanwhile no other worker summarises the conversation
PAUSE_SECONDS: Final = 60  # after a failure

logger = structlog.get_logger(__name__)


def wants_summary(context: RequestContext | None, used: Used | None) -> bool:
    """Whether an answer has filled the conversation so far that its oldest messages are to be summarised."""
    if not settings.SUMMARY_MODEL or context is None or used is None:
        return False
    window = context.window or settings.MODEL_CONTEXT_TOKENS
    budget = request_budget(context.window, None)
    return context.dropped > 0 or is_full(context.used + used.output_tokens, window, budget)


@dataclass(frozen=True, slots=True)
class SummaryWriter:
    """Writes summaries with the models of this worker."""

    model: ChatModel
    models: KnownModels
    judges: Panel = field(default_factory=no_judges)

    async def write(self, run: ClaimedRun) -> None:
        """Summarises the conversation up to a run's answer. Whatever fails is logged."""
        key = f"summary:{run.conversation_id.hex}"
        try:
            if not await async_redis().set(key, "1", nx=True, ex=TRYING_SECONDS):
                return
            if await self._write(run):
                await async_redis().delete(key)
            else:
                await async_redis().expire(key, PAUSE_SECONDS)
        except ProviderError as error:
            logger.warning("summary_failed", run=str(run.id), code=error.code)
            await async_redis().expire(key, PAUSE_SECONDS)
        except Exception:
            logger.exception("summary_not_written", run=str(run.id), note="the oldest messages are left out")

    async def _write(self, run: ClaimedRun) -> bool:
        """Returns False if none was made and another try makes no sense for a while."""
        name = run.model if settings.SUMMARY_MODEL == SAME else settings.SUMMARY_MODEL
        answering, writing = self.models.window_of(run.model), self.models.window_of(name)
        branch = await in_db(read_branch, run.message_id, 10**9, MOST_MESSAGES)
        window = usable_window(answering)
        budget = request_budget(window, None)
        filled = sum(answering.count.text(text) for text in (branch.summary, *(text for _, text in branch.path)))
        if not is_full(filled, window or settings.MODEL_CONTEXT_TOKENS, NEARLY * budget):
            return True  # since the answer was asked for, a summary was made
        end = choose_end(branch.path, budget, answering.count)
        if end < LEAST_MESSAGES or not await in_db(may_summarise, run.conversation_id, branch.ids):
            return False
        text, done = branch.summary, 0
        room = request_budget(usable_window(writing), SUMMARY_TOKENS)
        for _ in range(MOST_PARTS):
            part = make_part(branch.named_path, done, end, text, room, writing.count)
            written = await self._ask(name, part.turns, run)
            if not written:
                return False
            text, done = written, part.end
            if done >= end:
                break
        return await self._publish(run, branch, done, text, name)

    async def _ask(self, model: str, turns: list[ChatTurn], run: ClaimedRun) -> str:
        """The model's summary, without what the site's rules mask; empty if it wrote none, or one that they or a judge
        refuse. Its usage is recorded whatever comes of it.
        """
        payer = run.user_id if settings.SUMMARY_PAID_BY == "user" else None
        said = await ask_in_background(
            self.model, self.models, model, turns,
            run=run, purpose="summary", payer=payer, max_tokens=SUMMARY_TOKENS,
        )  # fmt: skip
        text = said.text.replace("\x00", "").strip()
        text = await in_db(screen_written, text, run.user_id, model, Direction.ANSWERED)
        return text if await judge_written(self.judges, text, run.conversation_id) else ""

    async def _publish(self, run: ClaimedRun, branch: Branch, end: int, text: str, model: str) -> bool:
        covered = [(id_, message) for id_, (_, message) in zip(branch.ids[:end], branch.path[:end], strict=True)]
        summary = await in_db(
            store_summary, run.conversation_id, covered,
            already=branch.summarised, previous=branch.summary_id, text=text, model=model,
        )  # fmt: skip
        if summary is None:
            return False
        logger.info("summary_written", run=str(run.id), messages=summary.messages, characters=len(text))
        await store.append(store.Append(run.conversation_id, [events.summary_changed(summary)]))
        return True
