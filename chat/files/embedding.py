"""Has vectors of passages made again: those that failed, or all."""

from __future__ import annotations

from django.db import transaction

from chat.models import Embedding, EmbeddingState, PassageVectors


def request_embedding(*, anew: bool) -> int:
    """Returns of how many contents workers make vectors now, if an embedding model is enabled: of those where it
    failed, or, `anew`, of all.
    """
    with transaction.atomic():
        if anew:
            count = Embedding.objects.select_for_update().update(
                state=EmbeddingState.PENDING, reason="", attempts=0, passages=0, characters=0, claimed_by=None,
                claimed_until=None,
            )  # fmt: skip
            PassageVectors.objects.all().delete()
            return count
        return Embedding.objects.filter(state=EmbeddingState.FAILED).update(
            state=EmbeddingState.PENDING, reason="", attempts=0, claimed_by=None, claimed_until=None
        )
