"""Why a recording ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chat.models import RecordingStatus
from workers.asr.base import AsrError

Reason = Literal["stopped", "cancelled", "idle", "limit", "quota_exceeded", "failed", "worker_stopped"]


@dataclass(slots=True)
class RecordingEnd:
    """Shared by the parts of a session: each may end the recording, and the first reason is kept.

    `message` is for the speaker; `error` is the recogniser's, where that failed.
    """

    reason: Reason | None = None
    message: str = ""
    error: AsrError | None = None

    def stop(self, reason: Reason, message: str = "") -> None:
        if self.reason is None:
            self.reason, self.message = reason, message

    def fail(self, error: AsrError) -> None:
        self.error = error
        self.stop("failed")

    def is_over(self) -> bool:
        return self.reason is not None

    @property
    def cancelled(self) -> bool:
        return self.reason == "cancelled"

    @property
    def status(self) -> RecordingStatus:
        """The status of the recording's row. A recording without any reason has failed."""
        if self.reason in (None, "failed"):
            return RecordingStatus.FAILED
        return RecordingStatus.CANCELLED if self.cancelled else RecordingStatus.DONE

    @property
    def code(self) -> str:
        """The reason on the recording's row: the recogniser's error code where that ended it."""
        if self.error is not None and self.status is RecordingStatus.FAILED:
            return self.error.code
        return self.reason or "failed"
