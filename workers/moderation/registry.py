"""The backends by name. Their transport takes a second to import, so only a process that judges imports it."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from workers.moderation.base import JudgeBackend
from workers.moderation.config import JudgeDefinition
from workers.providers.config import Timeouts
from workers.providers.discovery import make_client
from workers.providers.model_facts import ModelFacts

CONNECT_SECONDS = 2.0


def make_backend(judge: JudgeDefinition, facts: ModelFacts) -> JudgeBackend:
    """The backend of a judge. Nothing is connected yet. `facts` keeps what its model refuses."""
    longest = max(judge.seconds, judge.behind_seconds)
    timeouts = Timeouts(connect=min(CONNECT_SECONDS, longest), first_chunk=longest, idle=longest, total=longest)
    endpoint = replace(judge.endpoint, timeouts=timeouts, model_timeouts=())
    match judge.backend:
        case "openai":
            from workers.moderation.openai import OpenAIModeration

            return OpenAIModeration(endpoint, judge.model)
        case "guard" | "json":
            from workers.moderation.chat_judge import ChatJudge

            name = endpoint.ledger_name
            return ChatJudge(
                make_client(endpoint, facts), judge.model, name, guard=judge.backend == "guard",
                count=lambda: facts.count(name, judge.model),
            )  # fmt: skip
        case _:
            assert_never(judge.backend)
