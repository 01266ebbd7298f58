"""What pages ask workers to do with tool servers: only workers connect to them. Each call blocks and raises nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from accounts.lib.texts import gettext_noop
from chat.jobs.queues import TOOLS_QUEUE
from chat.jobs.worker_replies import NoReplyError, request_reply

TASK: Final = "workers.tasks.tool_server"
NOT_TESTED: Final = gettext_noop("The server was not tested.")
NOT_CONNECTED: Final = gettext_noop("You are not connected.")
NOT_REVOKED: Final = gettext_noop("The tokens were not revoked at the server.")
NOT_FETCHED: Final = gettext_noop("The prompt was not fetched.")
# Why a log-in has ended, as it is stored with it, in English.
NOT_ACCEPTED: Final = gettext_noop("%(server)s did not accept the log-in any more.")
NOT_LOGGED_IN: Final = gettext_noop("%(server)s did not accept the log-in.")
NOT_RENEWABLE: Final = gettext_noop("%(server)s gave a log-in that cannot be renewed, and it has expired.")
LOG_IN_ENDINGS: Final = (NOT_ACCEPTED, NOT_LOGGED_IN, NOT_RENEWABLE)


class ServerReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """How it went. `sentence` is for people, `url` where a person logs in, `text` a prompt's."""

    passed: bool
    sentence: str = ""
    url: str = ""
    text: str = ""


_decode = msgspec.json.Decoder(ServerReply).decode


def request_test(server_id: uuid.UUID, whose: uuid.UUID | None = None) -> ServerReply:
    """Has a worker list what the server offers, and store it. `whose`: the user who asks; None: staff."""
    return _ask(["test", str(server_id)], NOT_TESTED, whose)


def request_login(connection_id: uuid.UUID, state: str, callback: str, whose: uuid.UUID) -> ServerReply:
    """Has a worker find out where the person logs in. `state` and `callback` come back with them."""
    return _ask(["login", str(connection_id), state, callback], NOT_CONNECTED, whose)


def request_finish(connection_id: uuid.UUID, whose: uuid.UUID) -> ServerReply:
    """Has a worker trade the code, which is in the connection's `pending`, for tokens."""
    return _ask(["finish", str(connection_id)], NOT_CONNECTED, whose)


def request_revoke(connection_id: uuid.UUID, whose: uuid.UUID | None = None) -> ServerReply:
    """Has a worker revoke the tokens at the server, and delete the connection."""
    return _ask(["revoke", str(connection_id)], NOT_REVOKED, whose)


def request_prompt(server_id: uuid.UUID, user_id: uuid.UUID, name: str, arguments: Mapping[str, str]) -> ServerReply:
    """Has a worker ask the server for the text of a prompt, with this user's log-in."""
    args = ["prompt", str(server_id), str(user_id), name, json.dumps(dict(arguments))]
    return _ask(args, NOT_FETCHED, user_id)


def _ask(args: list[str], undone: str, whose: uuid.UUID | None) -> ServerReply:
    try:
        return _decode(request_reply(TASK, args, undone, whose=whose, queue=TOOLS_QUEUE))
    except NoReplyError as failure:
        return ServerReply(False, failure.sentence)
