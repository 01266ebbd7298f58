"""The errors a command can be answered with (docs/protocol.md §5).

ChatError
 ├─ Invalid, TooLarge, UnknownCommand   the frame itself
 ├─ NotFound, Forbidden, Suspended      no access, or not enough rights
 ├─ Conflict, Busy                      the state of the conversation does not allow it
 ├─ Moderated                           the site's rules refuse the text (`case_id`)
 ├─ RateLimited, QuotaExceeded          try again later (`retry_after`, seconds)
 ├─ AsrUnavailable                      speech recognition is down, has crashed, or is full
 ├─ SpeechUnavailable                   speech from the server is off, down, or full
 ├─ Maintenance                         only staff may write for now
 └─ Unavailable, Internal               a fault of the server; the same `client_id` may be sent again
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from django.utils.translation import gettext

from accounts.lib.texts import gettext_noop


class ChatError(Exception):
    """An error with a code for the client and a sentence for the user. `retry_after`: seconds.

    The sentence is in the language that is active where the error is raised: the one of the socket or the request.
    Sentences that are constants are marked by `gettext_noop` and translated here.

    `retryable`: the client may send the same command again automatically, with the same `client_id`.
    """

    code = "internal"
    default_message = gettext_noop("Something went wrong on the server. Try again.")
    retryable = False

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        self.message = gettext(message or self.default_message)
        self.retry_after = retry_after
        super().__init__(self.message)


class Invalid(ChatError):
    code = "invalid"
    default_message = gettext_noop("This request isn't valid.")


class UnknownCommand(ChatError):
    code = "unknown_command"
    default_message = gettext_noop("This server doesn't support that command.")


class TooLarge(ChatError):
    code = "too_large"
    default_message = gettext_noop("That is too long.")


class NotFound(ChatError):
    code = "not_found"
    default_message = gettext_noop("This doesn't exist, or you don't have access to it.")


class Forbidden(ChatError):
    code = "forbidden"
    default_message = gettext_noop("You can read this conversation, but not write in it.")


class Suspended(ChatError):
    """The account may read but not write until a time; the sentence says until when and why."""

    code = "suspended"
    default_message = gettext_noop("Your account is suspended. You can read, but not write.")


class Conflict(ChatError):
    code = "conflict"
    default_message = gettext_noop("This id has already been used for a different message.")


class Busy(ChatError):
    code = "busy"
    default_message = gettext_noop("An answer is still in progress. Wait for it to finish, or stop it.")


class Moderated(ChatError):
    """Refused by moderation. The person can appeal in the case `case_id`."""

    code = "moderated"
    default_message = gettext_noop("This was refused because of this site's rules.")

    def __init__(self, message: str = "", *, case_id: uuid.UUID | None = None) -> None:
        super().__init__(message)
        self.case_id = case_id


class RateLimited(ChatError):
    code = "rate_limited"
    default_message = gettext_noop("You're sending too fast. Please wait a moment.")
    retryable = True


class QuotaExceeded(ChatError):
    code = "quota_exceeded"
    default_message = gettext_noop("Your quota is used up.")


class Unavailable(ChatError):
    code = "unavailable"
    default_message = gettext_noop(
        "The service is unavailable right now. Your message is kept and will be sent again automatically."
    )
    retryable = True


class Maintenance(ChatError):
    """The site is in maintenance mode, in which only staff write. The sentence is the site's."""

    code = "maintenance"
    default_message = gettext_noop("This site is under maintenance. You can read, but not write, until it is finished.")


class Internal(ChatError):
    retryable = True


class AsrUnavailable(ChatError):
    """`code`: the recogniser's own, where it differs (`busy`)."""

    code = "asr_unavailable"
    default_message = gettext_noop(
        "Speech recognition is unavailable right now. You can type instead, or try again in a moment."
    )
    retryable = True

    def __init__(self, message: str = "", *, code: str = "asr_unavailable") -> None:
        super().__init__(message)
        self.code = code


class SpeechUnavailable(ChatError):
    code = "speech_unavailable"
    default_message = gettext_noop(
        "The server can’t read aloud right now. Use one of this browser’s voices, or try again in a moment."
    )


def retryable_codes() -> list[str]:
    """The codes of all errors that are `retryable`, sorted. The page gets this list rendered in."""
    return sorted({error.code for error in _subclasses(ChatError) if error.retryable})


def _subclasses(error: type[ChatError]) -> Iterator[type[ChatError]]:
    for one in error.__subclasses__():
        yield one
        yield from _subclasses(one)
