"""The tasks named in `chat.jobs.dispatch`. They take an id; the runtime does the work."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from celery import Task, shared_task, signals
from django.conf import settings
from django.db import connections

from chat.jobs import tool_servers
from chat.jobs.dispatch import GENERATE, PUBLISHED, READ_FILE, SPEAK
from chat.jobs.queues import TRANSCRIBE_QUEUE
from chat.notifications import notify
from chat.portability import export_jobs, import_jobs, staff_exports, transfers
from chat.telemetry import latency_marks
from chat.webhooks import record
from workers.embeddings import embedding_test
from workers.endpoints import connection_test
from workers.moderation import judge_test
from workers.push import mention_mails
from workers.push.delivery import deliver
from workers.runtime import claim_strategy
from workers.runtime.loop import runtime
from workers.runtime.periodic import recorded_round
from workers.tools.search import search_test
from workers.tools.servers import requests
from workers.webhooks.delivery import deliver_due

_TRANSFERS: Final = threading.BoundedSemaphore(2)  # imports and exports at once, in this process


@shared_task(name=GENERATE, ignore_result=True, Strategy=claim_strategy.NAME)  # type: ignore[untyped-decorator]  # Celery has no types
def generate(run_id: str, headers: Mapping[str, Any]) -> None:
    """Claims a run and hands it to the loop. A second delivery finds nothing to claim. `headers`: of the job."""
    try:
        latency_marks.mark(uuid.UUID(run_id), "picked_up")
        runtime().liveness.note_job()
        traceparent = str(headers.get("traceparent") or "")
        runtime().start(uuid.UUID(run_id), traceparent, published=headers.get(PUBLISHED))
    finally:
        connections.close_all()


@shared_task(name="workers.tasks.transcribe", ignore_result=True, bind=True)  # type: ignore[untyped-decorator]  # as above
def transcribe(self: Task, recording_id: str) -> None:
    """Hands a recording to the loop. A second delivery finds it claimed."""
    runtime().start_transcription(uuid.UUID(recording_id), _traceparent(self))


@shared_task(name=SPEAK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def speak(speech_id: str, number: int) -> None:
    """Speaks a sentence of an answer, on the loop. A second delivery finds it claimed."""
    runtime().start_soon(runtime().speaker.speak(uuid.UUID(speech_id), number))


def _traceparent(task: Task) -> str:
    """The trace context that was sent with the job (`chat.jobs.dispatch`)."""
    return str(task.request.get("traceparent") or "")


@shared_task(name=connection_test.TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def test_endpoint(endpoint_id: str, reply_to: str) -> None:
    """Tests the connection to an endpoint, on the loop that also reads answers."""
    runtime().start_soon(connection_test.answer_request(uuid.UUID(endpoint_id), reply_to))


@shared_task(name=judge_test.TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def test_judge(judge_id: str, reply_to: str) -> None:
    """Asks a judge about two sentences, on the loop that also asks judges about questions."""
    runtime().start_soon(judge_test.answer_request(uuid.UUID(judge_id), reply_to))


@shared_task(name=search_test.TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def test_search(provider_id: str, reply_to: str) -> None:
    """Searches the web once, on the loop that also makes the calls of tools."""
    runtime().start_soon(search_test.answer_request(uuid.UUID(provider_id), reply_to))


@shared_task(name=embedding_test.TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def test_embedder(embedder_id: str, reply_to: str) -> None:
    """Asks an embedding model for three vectors, on the loop that also asks for those of files."""
    runtime().start_soon(embedding_test.answer_request(uuid.UUID(embedder_id), reply_to))


@shared_task(name=tool_servers.TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def tool_server(action: str, id_: str, *args: str) -> None:
    """Does what a page asks for with a tool server. The last of `args` is where the reply goes."""
    *given, reply_to = args
    runtime().start_soon(requests.answer(action, uuid.UUID(id_), given, reply_to))


@shared_task(name=notify.TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def push(kind: str, conversation_id: str, message_id: str | None, users: list[str]) -> None:
    """Sends browser notifications to those of these users who are away."""
    message = uuid.UUID(message_id) if message_id else None
    runtime().start_soon(
        deliver(notify.Kind(kind), uuid.UUID(conversation_id), message, [uuid.UUID(one) for one in users])
    )


@shared_task(name="workers.tasks.mail_mentions", ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def mail_mentions() -> None:
    """Mails people what mentions them and they have not seen for a while (settings.CELERY_BEAT_SCHEDULE)."""
    runtime().start_soon(recorded_round("mail-mentions", mention_mails.mail_mentions))


@shared_task(name=record.TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def send_webhooks() -> None:
    """Sends the events of webhooks that are due; beat asks for it as well (settings.CELERY_BEAT_SCHEDULE)."""
    runtime().start_soon(recorded_round("send-webhooks", deliver_due))


@shared_task(name=transfers.IMPORT_TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def import_file(job_id: str) -> None:
    """Imports an uploaded file, in this thread. A second delivery finds it claimed."""
    _transfer(import_jobs.run_import, job_id)


@shared_task(name=transfers.EXPORT_TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def export_data(job_id: str) -> None:
    """Makes an export of everything stored about a user, in this thread. A second delivery finds it claimed."""
    _transfer(export_jobs.run_export, job_id)


@shared_task(name=transfers.STAFF_EXPORT_TASK, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def export_list(job_id: str) -> None:
    """Makes the CSV file of a list of the admin, in this thread. A second delivery finds it claimed."""
    _transfer(staff_exports.run_staff_export, job_id)


@shared_task(name=READ_FILE, ignore_result=True)  # type: ignore[untyped-decorator]  # as above
def read_file(blob_id: str) -> None:
    """Reads the content of an attached file, in a thread of its own. A second delivery finds it claimed or read."""
    runtime().files.start(uuid.UUID(blob_id))


def _transfer(run: Callable[[uuid.UUID, Callable[[], bool]], None], job_id: str) -> None:
    """Most threads stay free for answers: what finds no place is published again within a minute."""
    if not _TRANSFERS.acquire(blocking=False):
        return
    try:
        run(uuid.UUID(job_id), lambda: runtime().draining)
    finally:
        connections.close_all()
        _TRANSFERS.release()


@signals.worker_init.connect  # type: ignore[untyped-decorator]  # as above
def _warm_up(sender: Any = None, **_: Any) -> None:
    """Prepares the loop, the model clients and their connections before the first job, and recognisers if needed."""
    running = runtime()
    running.queues = frozenset(sender.app.amqp.queues.consume_from)
    if TRANSCRIBE_QUEUE in running.queues:
        running.prepare_speech()
        running.start_soon(running.speaker.prepare())


@signals.task_prerun.connect  # type: ignore[untyped-decorator]  # as above
def _note_job(**_: Any) -> None:
    runtime().liveness.note_job()


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]  # as above
def _stop_claiming(**_: Any) -> None:
    """Called before Celery waits for its jobs, which may themselves wait for a free slot."""
    runtime().draining = True


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]  # as above
def _drain(**_: Any) -> None:
    runtime().drain(settings.WORKER_DRAIN_SECONDS)
