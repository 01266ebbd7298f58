"""What a request to a model is recorded with in the usage ledger."""

from __future__ import annotations

from accounts.quotas.settlement import Used
from workers.providers.base import TokenUsage


def used_of(model: str, endpoint: str, usage: TokenUsage) -> Used:
    """The ledger's figures of one request. A cost counts only if the endpoint reported it with its usage."""
    return Used(
        model,
        endpoint,
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        estimated=usage.estimated,
        reported_cost=None if usage.estimated else usage.cost,
    )
