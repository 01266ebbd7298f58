"""The test of an embedding model from its page: a worker asks for vectors of a question and of two passages."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from accounts.lib.db import in_db
from accounts.lib.texts import gettext_noop
from chat.jobs.queues import FILES_QUEUE
from chat.jobs.worker_replies import is_awaited
from workers.embeddings.client import Embedder
from workers.embeddings.config import EmbedderDefinition
from workers.embeddings.service import define_embedder
from workers.embeddings.vectors import as_bytes
from workers.embeddings.wire import EmbeddingError
from workers.endpoints.connection_test import ConnectionTestResult, answer_page, ask_worker
from workers.models import Embedder as EmbedderRow

if TYPE_CHECKING:
    from workers.embeddings.wire import Matrix

TASK: Final = "workers.tasks.test_embedder"
SECONDS: Final = 15.0  # for the question; an embedding model may be slower than its timeout, and the test says so
QUESTION: Final = "How many days of vacation do I have?"
FITTING: Final = "Employees are entitled to thirty days of paid leave in each calendar year."
OTHER: Final = "The pump of the dishwasher is cleaned after its filter has been taken out."
REASONS: Final = {
    "embedding_garbage": "It answered, but not as the embeddings API does. Is this an embedding model?",
    "embedding_count": "It sent another number of vectors than was asked for.",
    "embedding_length": "It sent vectors of another length. Are the dimensions right for this model?",
    "embedding_numbers": "It sent vectors that are not numbers, or all zero.",
    "embedding_timeout": f"It gave no vector within {SECONDS:g} s.",
    "upstream_unreachable": "The workers cannot reach the endpoint.",
    "upstream_unauthorized": "The endpoint refuses the API key.",
    "upstream_rate_limited": "The endpoint refuses more requests for now (429).",
    "upstream_quota": "The endpoint has no credit left.",
    "upstream_refused": "The endpoint refuses the request. Does it offer embeddings, and the model the dimensions?",
    "model_not_found": "The endpoint does not have this model, or no such API.",
}


def request_embedding_test(embedder_id: uuid.UUID) -> ConnectionTestResult:
    """Has a worker test the embedding model as it is saved. Blocks for some seconds; raises nothing."""
    return ask_worker(TASK, embedder_id, gettext_noop("The embedding model was not tested."), FILES_QUEUE)


async def answer_request(embedder_id: uuid.UUID, reply_to: str) -> None:
    """The worker's side of `request_embedding_test`. Does nothing when the requester no longer waits."""
    if not await is_awaited(reply_to):
        return
    definition = await in_db(_find, embedder_id)
    if definition is None:
        result = ConnectionTestResult(False, "This embedding model has been deleted.", code="gone")
    else:
        result = await run_embedding_test(definition)
    await answer_page(reply_to, result)


def _find(embedder_id: uuid.UUID) -> EmbedderDefinition | None:
    rows = EmbedderRow.objects.select_related("endpoint").prefetch_related("endpoint__models")
    row = rows.filter(pk=embedder_id).first()
    return None if row is None else define_embedder(row)


async def run_embedding_test(definition: EmbedderDefinition) -> ConnectionTestResult:
    """Asks for three vectors. Raises nothing."""
    if definition.trouble:
        return ConnectionTestResult(False, definition.trouble, code="unusable")
    embedder = Embedder(replace(definition, seconds=SECONDS))
    try:
        began = time.monotonic()
        question, _ = await embedder.embed_question(QUESTION)
        ms = int((time.monotonic() - began) * 1000)
        passages, _ = await embedder.embed_passages([FITTING, OTHER])
    except EmbeddingError as error:
        message = REASONS.get(error.code) or f"It gave no vectors ({error.code})."
        return ConnectionTestResult(False, message, code=error.code)
    finally:
        await embedder.aclose()
    [length, other] = (len(found.vectors[0]) for found in (question, passages))
    if length != other:
        return ConnectionTestResult(False, REASONS["embedding_length"], code="embedding_length")
    fitting, unfitting = _similarities(question.vectors[0], passages.vectors)
    message = (
        f"It works: a vector of {length} numbers took {ms} ms. Similarity of a question with a text that answers it:"
        f" {fitting:.2f}; with another one: {unfitting:.2f}."
    )
    if ms > definition.seconds * 1000:
        message += f" That is longer than the {definition.seconds:g} s that a question waits."
    if fitting < definition.least_similarity:
        message += " With this least similarity, the text that answers the question would not be found."
    elif unfitting >= definition.least_similarity:
        message += " With this least similarity, the other one would be found, too."
    return ConnectionTestResult(True, message, model=definition.model)


def _similarities(question: Matrix, passages: Matrix) -> tuple[float, float]:
    """As they are computed from what is stored."""
    import numpy as np

    stored = [np.frombuffer(one, dtype=np.int8).astype(np.float32) for one in as_bytes(passages)]
    first, second = (float(one @ question / max(float(np.linalg.norm(one)), 1.0)) for one in stored)
    return first, second
