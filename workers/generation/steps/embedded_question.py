"""The vector of a question that is looked up in collections, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.quotas.settlement import settle_background
from chat.runs.context import ClaimedRun
from workers.embeddings.client import Embedder
from workers.embeddings.wire import EmbeddingError
from workers.files.embedding_jobs import used_of
from workers.files.embedding_rows import PURPOSE
from workers.files.giving import FEW_WORDS
from workers.files.similar import Asked

MOST_CHARS: Final = 2_000  # of a question: its beginning and its end say what it is about

logger = structlog.get_logger(__name__)


async def embed_question(
    embedder: Embedder | None, run: ClaimedRun, question: Sequence[str]
) -> tuple[Asked | None, str]:  # fmt: skip
    """The question's vector; or None, and why: a code of `chat.files.reading_reasons`, empty where no embedding model
    is set up. Raises nothing. `question`: the last texts of people, the newest first.
    """
    text = question_text(question)
    if embedder is None or not text:
        return None, ""
    try:
        found, usage = await embedder.embed_question(text)
    except EmbeddingError as error:
        logger.info("question_not_embedded", run=str(run.id), code=error.code)
        return None, "words_only"
    definition = embedder.definition
    try:
        await in_db(
            settle_background, run.user_id, timezone.now(), used_of(embedder, usage), purpose=PURPOSE,
            conversation_id=run.conversation_id,
        )  # fmt: skip
    except Exception:
        logger.exception("embedding_not_recorded", run=str(run.id))
    return Asked(found.vectors[0], definition.key, definition.least_similarity), ""


def question_text(question: Sequence[str]) -> str:
    """What is embedded: the question, after the one before it where it is short."""
    if not question:
        return ""
    text = question[0]
    if len(text.split()) < FEW_WORDS and len(question) > 1:
        text = f"{question[1]}\n{text}"
    text = text.strip()
    return text if len(text) <= MOST_CHARS else f"{text[: MOST_CHARS // 2]}\n{text[-MOST_CHARS // 2 :]}"
