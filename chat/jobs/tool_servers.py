"""What pages ask workers to do with tool servers: only workers connect to them. Each call blocks and raises nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from chat.jobs.worker_replies import NoReplyError, request_reply

TASK: Final = "workers.tasks.tool_server"


class ServerReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """How it went. `sentence` is for people, `url` where a person logs in, `text` a prompt's."""

    passed: bool
    sentence: str = ""
    url: str = ""
    text: str = ""


_decode = msgspec.json.Decoder(ServerReply).decode


def request_test(server_id: uuid.UUID, whose: uuid.UUID | None = None) -> ServerReply:
    """Has a worker list what the server offers, and store it. `whose`: the user who asks; None: staff."""
    return _ask(["test", str(server_id)], "the server was not tested", whose)


def request_login(connection_id: uuid.UUID, state: str, callback: str, whose: uuid.UUID) -> ServerReply:
    """Has a worker find out where the person logs in. `state` and `callback` come back with them."""
    return _ask(["login", str(connection_id), state, callback], "you are not connected", whose)


def request_finish(connection_id: uuid.UUID, whose: uuid.UUID) -> ServerReply:
    """Has a worker trade the code, which is in the connection's `pending`, for tokens."""
    return _ask(["finish", str(connection_id)], "you are not connected", whose)


def request_revoke(connection_id: uuid.UUID, whose: uuid.UUID | None = None) -> ServerReply:
    """Has a worker revoke the tokens at the server, and delete the connection."""
    return _ask(["revoke", str(connection_id)], "the tokens were not revoked at the server", whose)


def request_prompt(server_id: uuid.UUID, user_id: uuid.UUID, name: str, arguments: Mapping[str, str]) -> ServerReply:
    """Has a worker ask the server for the text of a prompt, with this user's log-in."""
    args = ["prompt", str(server_id), str(user_id), name, json.dumps(dict(arguments))]
    return _ask(args, "the prompt was not fetched", user_id)


def _ask(args: list[str], undone: str, whose: uuid.UUID | None) -> ServerReply:
    try:
        return _decode(request_reply(TASK, args, undone, whose=whose))
    except NoReplyError as failure:
        return ServerReply(False, failure.sentence)
