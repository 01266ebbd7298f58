"""What the tests of embeddings share: a server that makes them, its row in the admin, and a worker's part."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection

from accounts.lib.db import in_db
from accounts.models import UsageEntry, User
from chat.models import Blob, Embedding, File, FileText, PassageVectors
from tests.fakes.embedding_server import EmbeddingServer
from workers.embeddings.service import EmbedderSync
from workers.files.embedding_jobs import EmbeddingJobs
from workers.models import Embedder, Endpoint


@dataclass
class Embeddings:
    """A worker's embedding model, and the server that it asks."""

    server: EmbeddingServer
    sync: EmbedderSync

    async def work(self) -> None:
        """One round of the background work."""
        await self.sync.reload()
        await EmbeddingJobs(self.sync, lambda: True).embed_waiting()

    async def change(self, **fields: Any) -> None:
        """Changes the row, as its page does."""
        await in_db(lambda: Embedder.objects.update(**fields))
        await self.sync.reload()


@pytest.fixture
async def embeddings(transactional_db: None) -> AsyncGenerator[Embeddings]:
    async with EmbeddingServer() as server:

        def _make() -> None:
            endpoint = Endpoint.objects.create(name="vectors", kind="openai_chat", base_url=server.url, use="standby")
            Embedder.objects.create(
                name="Vectors", endpoint=endpoint, model="small", enabled=True, least_similarity=0.3, timeout=5.0
            )

        await in_db(_make)
        found = Embeddings(server, EmbedderSync())
        await found.sync.reload()
        yield found
        await found.sync.aclose()


async def known_file(owner: User, name: str, *parts: str) -> File:
    """A file whose parts were read, without the child process that reads them."""

    def _make() -> File:
        digest = hashlib.sha256("".join(parts).encode()).hexdigest()
        blob = Blob.objects.create(
            sha256=digest, size=1, media_type="text/plain", kind="text", path=f"files/{digest}", state="read",
            parts=len(parts), characters=sum(map(len, parts)),
        )  # fmt: skip
        FileText.objects.bulk_create(
            FileText(blob=blob, position=at, label=f"page {at}" if len(parts) > 1 else "", text=text)
            for at, text in enumerate(parts, 1)
        )
        with connection.cursor() as cursor:
            cursor.execute("UPDATE chat_filetext SET words = chat_search_words(text, '') WHERE blob_id = %s", [blob.pk])
        return File.objects.create(blob=blob, owner=owner, name=name)

    return await in_db(_make)


async def embedding_of(file: File) -> Embedding:
    return await in_db(Embedding.objects.get, blob=file.blob_id)


async def stored_passages() -> int:
    rows = await in_db(lambda: list(PassageVectors.objects.values_list("starts", flat=True)))
    return sum(map(len, rows))


async def ledger() -> list[tuple[Any, str, int, bool]]:
    """(user, model, tokens, whether estimated) of what embeddings have cost, in order."""
    entries = UsageEntry.objects.filter(purpose="embedding").order_by("at", "pk")
    return await in_db(lambda: list(entries.values_list("user", "model", "input_tokens", "estimated")))
