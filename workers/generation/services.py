"""What a generation uses of the worker process it runs in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from chat.runs.context import ClaimedRun
from chat.runs.lost import Lost
from workers.embeddings.service import EmbedderSync
from workers.generation.emitter import Emitter
from workers.generation.request_context import KnownModels, NothingKnown
from workers.generation.titles import TitleWriter
from workers.generation.tool_use.approval import Approvals, PolicyApprovals
from workers.generation.tool_use.toolbox import FindTools, find_no_tools
from workers.moderation.panel import Panel, no_judges
from workers.providers.base import ChatModel


@dataclass(frozen=True, slots=True)
class Services:
    """`owner` is the lease owner's name of this process. `spawn` runs a coroutine as a task of the worker's loop.
    `give_back` puts a run back into the queue for another worker; it gets all that was shown of the answer.
    """

    emitter: Emitter
    model: ChatModel
    titles: TitleWriter
    owner: str
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    give_back: Callable[[ClaimedRun, Lost], Awaitable[None]]
    models: KnownModels = field(default_factory=NothingKnown)
    judges: Panel = field(default_factory=no_judges)
    find_tools: FindTools = find_no_tools
    embedders: EmbedderSync = field(default_factory=EmbedderSync)
    approvals: Approvals = field(default_factory=PolicyApprovals)
