"""What a model writes about a conversation after an answer has ended: its title and its summary."""

from __future__ import annotations

from django.conf import settings

from accounts.quotas.settlement import Used
from chat.runs.context import ClaimedRun
from workers.generation.request_context import RequestContext
from workers.generation.services import Services
from workers.generation.summaries import SummaryWriter, wants_summary


def spawn_writers(services: Services, run: ClaimedRun, context: RequestContext | None, used: Used | None) -> None:
    """Begins, in the background, what the conversation of an answer needs of both."""
    if settings.TITLE_MODEL:
        services.spawn(services.titles.write(run))
    if wants_summary(context, used):
        services.spawn(SummaryWriter(services.model, services.models, services.judges).write(run))
