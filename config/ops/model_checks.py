"""Checks of the models' endpoints and of the recognisers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Count

from chat.catalog.offered_models import DEMO_MODEL
from chat.models import Embedding, EmbeddingState
from config.env import stack_url
from config.ops.findings import FAIL, LOOPBACK_NAMES, OK, WARN, Found
from workers.asr.registry import open_chain
from workers.endpoints.connection_test import explain
from workers.endpoints.service import load_endpoints
from workers.providers import discovery
from workers.providers.base import ProviderError
from workers.providers.config import Definition
from workers.providers.router import ModelRouter
from workers.tts.registry import open_backends

MODEL_SECONDS: Final = 10.0
MODEL_ADVICE: Final = {
    "upstream_unauthorized": "Correct OPENAI_API_KEY, or the endpoint's key in the admin; then restart.",
    "upstream_unreachable": "Start it, or correct its address (OPENAI_BASE_URL, or the endpoint's page in the admin); "
    "test the address from this machine with curl.",
    "upstream_quota": "Its account has no credit left: add credit, or configure a fallback (OPENAI_FALLBACK_...).",
}


def check_model(_url: str) -> Found:
    rows = load_endpoints()
    troubles = [f"{row.name}: {row.trouble}" for row in rows if row.trouble]
    try:
        router = asyncio.run(_ask_models(rows))
    except ProviderError as error:
        reason = f" ({error.reason})" if error.reason else ""
        return (
            FAIL,
            f"{error.code}: {error.message}{reason}",
            MODEL_ADVICE.get(error.code, "`manage.py models` shows details."),
        )
    except TimeoutError:
        return (
            FAIL,
            f"The endpoint did not answer within {MODEL_SECONDS:g} s.",
            "Check that it is running and reachable from this machine.",
        )
    if troubles:
        return (
            FAIL,
            " ".join(troubles),
            "Add the secret they were encrypted with to ENCRYPTION_KEYS, or enter the keys again in the admin.",
        )
    silent = [member for member in router.members.values() if member.failure is not None]
    names = [offer["id"] for offer in router.catalog]
    if silent:
        said = "; ".join(
            f"{one.definition.name}: {explain(one.failure, one.definition)}" for one in silent if one.failure
        )
        return (WARN, said, "`manage.py models --test` and the endpoints' admin pages show details.")
    if names == [DEMO_MODEL]:
        advice = (
            "For a real model set OPENAI_API_KEY or OPENAI_BASE_URL, start Ollama, or add an endpoint in the admin."
        )
        if _is_private():
            return OK, "The demo model answers, which is fine for trying this out on one machine.", advice
        return WARN, "Only the demo model answers.", advice
    if not names:
        return (FAIL, "The endpoint offers no model.", "Load a model there, or name it in CHAT_MODELS.")
    where = ", ".join(member.definition.place for member in router.members.values())
    return OK, f"{where}: {len(names)} model{'' if len(names) == 1 else 's'}; default: {names[0]}.", ""


def _is_private() -> bool:
    """Whether only this machine is served: by `manage.py up`, or over plain HTTP under a loopback name."""
    url = stack_url(settings.VAR_DIR, "url")
    if url:
        return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    return not settings.HTTPS and set(settings.ALLOWED_HOSTS) <= LOOPBACK_NAMES


async def _ask_models(rows: Sequence[Definition]) -> ModelRouter:
    """Asks every endpoint for its models. Raises the first endpoint's error when no models are known at all."""
    router = discovery.open_router(rows)
    try:
        async with asyncio.timeout(MODEL_SECONDS):
            await router.models()
            return router
    finally:
        await router.close()


def check_voice(_url: str) -> Found:
    backends = open_chain().backends  # the settings are checked; nothing is loaded or connected
    if not backends:
        advice = (
            "To turn it on, run `make moonshine` (English), or name another recogniser in ASR_BACKENDS "
            "(docs/voice.md); then restart."
        )
        return OK, "Voice input is off: no recogniser is configured.", advice
    speakers = open_backends()  # likewise
    aloud = f" Read aloud by the server: {', '.join(one.name for one in speakers)}." if speakers else ""
    return OK, f"Voice input is on: {', '.join(backend.name for backend in backends)}.{aloud}", ""


def check_embeddings(_url: str) -> Found:
    """Whether collections are searched by vectors, and how far these are made."""
    from workers.embeddings.service import load_embedder  # it loads numpy and the client, which `health` needs not

    embedder = load_embedder()
    if embedder is None:
        advice = "To find passages that say it in other words, enable an embedding model in the admin (docs/files.md)."
        return OK, "Collections are searched by words only: no embedding model is enabled.", advice
    if embedder.trouble:
        return WARN, f"{embedder.name}: {embedder.trouble}", "Correct its endpoint in the admin."
    counted = Embedding.objects.filter(model_key=embedder.key).values_list("state").annotate(count=Count("pk"))
    counts = dict(counted)
    total, failed = sum(counts.values()), counts.get(EmbeddingState.FAILED, 0)
    said = f"{embedder.name} ({embedder.model}): vectors of {counts.get(EmbeddingState.DONE, 0)} of {total} files."
    waits = Embedding.objects.filter(state=EmbeddingState.PENDING).exclude(reason="").values_list("reason", flat=True)
    if reason := waits.exclude(reason="quota").first():
        return WARN, f"{said} Others wait: {reason}.", "Its page in the admin has a test that says more."
    if failed:
        return OK, f"{said} Of {failed} they could not be made.", "`manage.py files embed` has workers try again."
    return OK, said, ""
