"""What can go wrong with a command, as the client is told (docs/protocol.md §5).

ChatError
 ├─ Invalid, TooLarge, UnknownCommand   the frame itself
 ├─ NotFound, Forbidden                 what one may not see, what one may not do
 ├─ Conflict, Busy                      the state of things
 ├─ RateLimited, QuotaExceeded          come back later (`retry_after`, seconds)
 ├─ AsrUnavailable                      speech recognition is down, crashed, or full
 └─ Unavailable, Internal               our side; the same `client_id` may be sent again
"""

from __future__ import annotations

from collections.abc import Iterator


class ChatError(Exception):
    """An error with a code for the client and a sentence for the person.

    `retryable`: the client may send the very same command again by itself, with the same `client_id`.
    """

    code = "internal"
    default_message = "Something went wrong on our side."
    retryable = False

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        self.message = message or self.default_message
        self.retry_after = retry_after
        super().__init__(self.message)


class Invalid(ChatError):
    code = "invalid"
    default_message = "This message could not be understood."


class UnknownCommand(ChatError):
    code = "unknown_command"
    default_message = "This server does not know that command."


class TooLarge(ChatError):
    code = "too_large"
    default_message = "That is too long."


class NotFound(ChatError):
    code = "not_found"
    default_message = "There is no such thing here, or you may not see it."


class Forbidden(ChatError):
    code = "forbidden"
    default_message = "You may read this conversation, but not write in it."


class Conflict(ChatError):
    code = "conflict"
    default_message = "The same id was already used for something else."


class Busy(ChatError):
    code = "busy"
    default_message = "An answer is still being written here. Stop it, or wait for it."


class RateLimited(ChatError):
    code = "rate_limited"
    default_message = "That was too quick. Please wait a moment."
    retryable = True


class QuotaExceeded(ChatError):
    code = "quota_exceeded"
    default_message = "Your allowance is used up."


class Unavailable(ChatError):
    code = "unavailable"
    default_message = "The service is not reachable right now. Your message is kept; it is sent again by itself."
    retryable = True


class Internal(ChatError):
    retryable = True


class AsrUnavailable(ChatError):
    """`code`: of the recogniser's own error, where it has another (`busy`)."""

    code = "asr_unavailable"
    default_message = "Speech recognition is not available right now. You can type instead, or try again in a moment."
    retryable = True

    def __init__(self, message: str = "", *, code: str = "asr_unavailable") -> None:
        super().__init__(message)
        self.code = code


def retryable_codes() -> list[str]:
    """The codes of all errors that are `retryable`, sorted. The page gets this list rendered in."""
    return sorted({error.code for error in _subclasses(ChatError) if error.retryable})


def _subclasses(error: type[ChatError]) -> Iterator[type[ChatError]]:
    for one in error.__subclasses__():
        yield one
        yield from _subclasses(one)
