"""Embedding models in the admin, their test by a worker, `manage.py files embed`, and the doctor."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.lib.db import in_db
from accounts.models import AuditEntry, User
from chat.files.collections import readiness_of
from chat.models import EmbeddingState
from config.ops.diagnosis import examine
from config.ops.findings import OK, WARN
from tests.fakes.embedding_server import MISBEHAVIOURS
from tests.fixtures.people import staff_client
from tests.integration.workers.embeddings.conftest import Embeddings, embedding_of, known_file, stored_passages
from tests.integration.workers.embeddings.test_making import PARTS
from tests.integration.workers.files.test_knowledge import collection
from workers.embeddings import embedding_test
from workers.embeddings.embedding_test import run_embedding_test
from workers.endpoints.connection_test import ConnectionTestResult
from workers.models import Embedder, Endpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis", "no_rules", "layer")]
ADD = "/admin/workers/embedder/add/"


@pytest.fixture
def keeper(transactional_db: None) -> Client:
    verbs = ("view", "add", "change", "delete")
    return staff_client(*(f"{verb}_embedder" for verb in verbs), "view_endpoint", "test_embedder")


def form(endpoint: Endpoint, **values: Any) -> dict[str, Any]:
    return {
        "name": "Vectors", "enabled": "on", "endpoint": str(endpoint.pk), "model": "m", "dimensions": "",
        "passage_prefix": "", "question_prefix": "", "least_similarity": "0.3", "timeout": "2", **values,
    }  # fmt: skip


def errors_of(response: Any) -> str:
    assert response.status_code == 200, "it was saved"
    return str(response.context["errors"])


def test_what_can_be_saved(keeper: Client) -> None:
    endpoint = Endpoint.objects.create(name="e", base_url="http://10.0.0.7:8000/v1", use="standby")
    assert keeper.post(ADD, form(endpoint)).status_code == 302
    first = Embedder.objects.get()
    assert "Another embedding model is enabled" in errors_of(keeper.post(ADD, form(endpoint, name="Second")))
    assert keeper.post(ADD, form(endpoint, name="Second", enabled="")).status_code == 302
    off = Endpoint.objects.create(name="off", base_url="http://10.0.0.8:8000/v1", use="off")
    assert "is off" in errors_of(keeper.post(ADD, form(off, name="Third", enabled="")))
    other = Endpoint.objects.create(name="a", kind="anthropic", base_url="https://api.anthropic.com", use="standby")
    assert "does not offer" in errors_of(keeper.post(ADD, form(other, name="Third", enabled="")))
    assert "dimensions" in errors_of(keeper.post(ADD, form(endpoint, name="Third", enabled="", dimensions="3")))
    page = f"/admin/workers/embedder/{first.pk}/change/"
    before = first.key
    assert keeper.post(page, form(endpoint, name="Renamed", timeout="3")).status_code == 302
    first.refresh_from_db()
    assert first.key == before  # what does not change vectors makes none anew
    assert keeper.post(page, form(endpoint, name="Renamed", passage_prefix="passage:")).status_code == 302
    first.refresh_from_db()
    assert first.key != before


def test_the_test_button(keeper: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint.objects.create(name="e", base_url="http://10.0.0.7:8000/v1", use="standby")
    row = Embedder.objects.create(name="Vectors", endpoint=endpoint, model="m")
    said = ConnectionTestResult(False, "The endpoint refuses the API key.")
    monkeypatch.setattr(embedding_test, "request_embedding_test", lambda _id: said)
    assert keeper.post(f"/admin/workers/embedder/{row.pk}/test/").status_code == 302
    page = keeper.get(f"/admin/workers/embedder/{row.pk}/change/").content.decode()
    assert "The endpoint refuses the API key." in page
    assert AuditEntry.objects.filter(verb="test").exists()


def test_who_may_only_look(transactional_db: None) -> None:
    endpoint = Endpoint.objects.create(name="e", base_url="http://10.0.0.7:8000/v1", use="standby")
    row = Embedder.objects.create(name="Vectors", endpoint=endpoint, model="m")
    reader = staff_client("view_embedder")
    assert reader.post(f"/admin/workers/embedder/{row.pk}/test/").status_code == 403
    assert "Test embedding model" not in reader.get(f"/admin/workers/embedder/{row.pk}/change/").content.decode()


async def test_a_worker_says_how_similar_texts_are(embeddings: Embeddings) -> None:
    assert embeddings.sync.current is not None
    result = await run_embedding_test(embeddings.sync.current.definition)
    assert result.passed
    assert "a vector of 64 numbers took" in result.message
    assert "Similarity of a question with a text that answers it" in result.message


@pytest.mark.parametrize("how", [one for one in MISBEHAVIOURS if one not in ("never", "short")])
async def test_a_worker_says_why_none_came(embeddings: Embeddings, how: str) -> None:
    embeddings.server.misbehaves(how)
    assert embeddings.sync.current is not None
    result = await run_embedding_test(embeddings.sync.current.definition)
    assert not result.passed
    assert result.code
    assert embeddings.server.url not in result.message


async def test_how_far_the_files_are(alice: User, embeddings: Embeddings, keeper: Client) -> None:
    file = await known_file(alice, "book.txt", *PARTS)
    chosen = await collection(alice, file)
    row = await in_db(Embedder.objects.get)

    def _page() -> str:
        return keeper.get(f"/admin/workers/embedder/{row.pk}/change/").content.decode()

    def _doctor() -> tuple[Any, str]:
        [found] = examine(["embeddings"])
        return found.level, found.said

    embeddings.server.misbehaves("unauthorized")
    await embeddings.work()
    assert (await in_db(readiness_of, [chosen.pk]))[chosen.pk].as_dict() == {
        "files": 1, "ready": 1, "failed": 0, "embedding": 1,
    }  # fmt: skip
    assert "0 of 1 file ready" in await in_db(_page)
    assert await in_db(_doctor) == (
        WARN,
        "Vectors (small): vectors of 0 of 1 files. Others wait: upstream_unauthorized.",
    )
    embeddings.server.misbehaves(None)
    await in_db(call_command, "files", "embed", "--all", stdout=io.StringIO())
    await embeddings.work()
    assert "1 of 1 file ready" in await in_db(_page)
    assert await in_db(_doctor) == (OK, "Vectors (small): vectors of 1 of 1 files.")
    assert "embedding" not in (await in_db(readiness_of, [chosen.pk]))[chosen.pk].as_dict()
    before = await stored_passages()
    said = io.StringIO()
    await in_db(call_command, "files", "embed", "--all", stdout=said)
    assert "Vectors of 1 contents" in said.getvalue()
    assert await stored_passages() == 0
    await embeddings.work()
    assert await stored_passages() == before
    assert (await embedding_of(file)).state == EmbeddingState.DONE


def test_the_doctor_without_one(db: None) -> None:
    [found] = examine(["embeddings"])
    assert (found.level, found.said) == (
        OK, "Collections are searched by words only: no embedding model is enabled.",
    )  # fmt: skip
