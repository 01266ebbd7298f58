"""The readings of this worker: a few at once, in threads of their own, so that answers find free ones.

Those that wait here are read in a fair order between users, so nobody's file waits for all of somebody else's.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog
from django.db import connections

from accounts.lib.outage import OUTAGE
from chat.models.files import File
from workers.files.announcing import announce_read
from workers.files.fair_line import FairLine
from workers.files.reading import read_blob
from workers.files.recognising import is_wanted, recognise_blob

AT_ONCE: Final = 2

logger = structlog.get_logger(__name__)


class ReadingJobs:
    """`spawn` runs a coroutine on the worker's loop, from any thread."""

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._spawn = spawn
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="files")
        # Apart, since it takes seconds a page: other contents are read meanwhile.
        self._recognising = ThreadPoolExecutor(1, thread_name_prefix="recognition")
        self._stopping = threading.Event()
        self._waiting: set[uuid.UUID] = set()  # or being read
        self._line = FairLine()
        self._lock = threading.Lock()

    def start(self, blob_id: uuid.UUID) -> None:
        """Reads a content when a thread is free, then recognises the text in its images, if that is set up; called on a
        thread. A second job for one that waits here is dropped.
        """
        try:
            user = _owner_of(blob_id)
        finally:
            connections.close_all()
        with self._lock:
            if blob_id in self._waiting or self._stopping.is_set():
                return
            self._waiting.add(blob_id)
            self._line.add(user, blob_id)
            self._threads.submit(self._read_next)

    def _read_next(self) -> None:
        with self._lock:
            blob_id = self._line.take()
        if blob_id is not None:
            self._read(blob_id)

    def _read(self, blob_id: uuid.UUID) -> None:
        goes_on = False
        try:
            if not self._stopping.is_set():
                self._then_announce(read_blob, blob_id)
                if goes_on := is_wanted(blob_id) and not self._stopping.is_set():
                    self._recognising.submit(self._recognise, blob_id)
        except OUTAGE as error:
            logger.warning("file_reading_delayed", blob=str(blob_id), error=type(error).__name__)
        except Exception:
            logger.exception("file_reading_crashed", blob=str(blob_id))
        finally:
            if not goes_on:
                self._forget(blob_id)
            connections.close_all()

    def _recognise(self, blob_id: uuid.UUID) -> None:
        try:
            if not self._stopping.is_set():
                self._then_announce(recognise_blob, blob_id)
        except OUTAGE as error:
            logger.warning("recognition_delayed", blob=str(blob_id), error=type(error).__name__)
        except Exception:
            logger.exception("recognition_crashed", blob=str(blob_id))
        finally:
            self._forget(blob_id)
            connections.close_all()

    def _forget(self, blob_id: uuid.UUID) -> None:
        with self._lock:
            self._waiting.discard(blob_id)

    def _then_announce(self, work: Callable[[uuid.UUID, Callable[[], bool]], bool], blob_id: uuid.UUID) -> None:
        """Does the work, and tells the people of the content if something has changed."""
        if work(blob_id, self._stopping.is_set):
            self._spawn(announce_read(blob_id))

    def stop(self) -> None:
        """Ends the readings in progress: other workers begin them anew. Does not wait."""
        self._stopping.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._recognising.shutdown(wait=False, cancel_futures=True)


def _owner_of(blob_id: uuid.UUID) -> uuid.UUID | None:
    """Whose turn the reading takes: of files with the same content, the newest one's owner. None as well during an
    outage, in which the reading is delayed.
    """
    try:
        return File.objects.filter(blob=blob_id).order_by("-created_at").values_list("owner", flat=True).first()
    except OUTAGE:
        return None
