"""Finds what an error's body says: its code and its words, however the server wraps them. Pure: no I/O."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final, cast

from workers.providers.http.json_values import NO_JSON, load_json, read_number, read_object

WORD_CHARS: Final = 60  # of a word: patterns take the square of a word's length
MAX_DEPTH: Final = 8  # of an error within an error
_MESSAGES: Final = ("message", "msg", "error_msg", "error_message", "errmsg", "status_msg", "detail", "title")
_CODES: Final = ("code", "error_code", "errcode", "status_code")
_NO_ERROR: Final = ("", "0", "200", "ok", "success")
_LONG_WORD: Final = re.compile(rf"(\w{{{WORD_CHARS}}})\w+")
_TAGS: Final = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.DOTALL | re.IGNORECASE)


def decode_body(raw: bytes) -> object:
    """The JSON of an error's body, or its text."""
    text = raw.decode(errors="replace")
    value = load_json(text)
    return text if value is NO_JSON else value


def error_fields(body: object) -> dict[str, Any]:
    """`code`, `type`, `status` and `message` of an error: it may be an object, in an array, or in `detail`."""
    outer: Mapping[str, Any] = {}
    for _ in range(MAX_DEPTH):
        if isinstance(body, list):
            body = body[0] if body else None
        if not isinstance(body, dict):
            break
        outer = body
        within = (body.get(name) for name in ("error", "errors", "detail", "base_resp"))
        inner = next((one for one in within if isinstance(one, str | dict | list) and one), None)
        if inner is None:
            return _named_fields(body)
        body = inner
    words = body if isinstance(body, str) else ""
    return {**_named_fields(outer), "message": words}


def _named_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    words = next((body[name] for name in _MESSAGES if body.get(name)), "")
    if "msg" in body and "loc" in body:  # pydantic, within `detail`
        words = f"{body['loc']} {words}"
    return {**body, "message": words, "code": next((body[name] for name in _CODES if body.get(name)), "")}


def is_error(value: Mapping[str, Any]) -> bool:
    """Whether an object that is no part of an answer says that something went wrong."""
    if value.get("success") is False or value.get("error") or value.get("errors"):
        return True
    if read_object(value.get("base_resp")).get("status_code"):
        return True
    words = any(isinstance(value.get(name), str | list) and value[name] for name in _MESSAGES)
    if (read_number(value.get("status")) or 0) >= 400:
        return words
    if "type" in value:  # an event of its own kind, perhaps about progress
        return False
    code = str(next((value[name] for name in _CODES if value.get(name)), "")).lower()
    return words and (bool(value.get("detail")) or code not in _NO_ERROR)


def words_of(body: object) -> str:
    """The endpoint's own words, for staff, and for finding the reason in them."""
    if isinstance(body, str):
        return _without_tags(body)
    try:
        return json.dumps(_without_input(body), ensure_ascii=False)
    except RecursionError:
        return ""


def _without_input(body: object) -> object:
    """A body without what pydantic repeats of the request, in which every field would be found."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if not isinstance(detail, list):
        return body
    kept = [
        {name: value for name, value in one.items() if name not in ("input", "ctx")} if isinstance(one, dict) else one
        for one in detail
    ]
    return {**cast("dict[str, Any]", body), "detail": kept}


def _without_tags(text: str) -> str:
    """The words of a page, where a proxy sends one."""
    return html.unescape(_TAGS.sub(" ", text)) if text.lstrip()[:1] == "<" else text


def shorten_words(text: str) -> str:
    """`text` with long words cut, so that looking for patterns in it takes no more than a moment."""
    return _LONG_WORD.sub(r"\1", text)
