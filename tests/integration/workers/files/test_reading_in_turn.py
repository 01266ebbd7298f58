"""A worker reads the files of several users in turn."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

import pytest

from accounts.models import User
from tests.integration.workers.files.conftest import Keep
from workers.files import jobs
from workers.files.jobs import ReadingJobs

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_users_many_files_do_not_delay_another_ones(
    alice: User, bob: User, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[uuid.UUID] = []
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def note(blob_id: uuid.UUID, _stopping: Callable[[], bool]) -> bool:
        begun.set()
        assert go_on.wait(20)
        read.append(blob_id)
        if len(read) == 7:
            over.set()
        return False  # nothing to announce

    monkeypatch.setattr(jobs, "AT_ONCE", 1)
    monkeypatch.setattr(jobs, "read_blob", note)
    hers = [keep(alice, b"%d" % number, "a.txt", "text", "text/plain").blob_id for number in range(5)]
    his = keep(bob, b"his", "b.txt", "text", "text/plain").blob_id
    line = ReadingJobs(lambda work: work.close())
    line.start(hers[0])
    assert begun.wait(20)
    for blob_id in (*hers[1:], his, his):
        line.start(blob_id)
    unknown = uuid.uuid4()  # deleted before its job came
    line.start(unknown)
    go_on.set()
    assert over.wait(20)
    assert read == [hers[0], hers[1], his, unknown, *hers[2:]]
    line.stop()
