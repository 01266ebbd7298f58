"""Template tags of the pages: icons, and a message's text."""

from __future__ import annotations

import functools
import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import template
from django.templatetags.static import static
from django.utils.formats import date_format, number_format
from django.utils.html import format_html, json_script
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.lib.formatting import money, one_digit
from accounts.lib.names import isolate
from chat.catalog.model_names import file_name
from chat.eventlog.payloads import finish_note
from chat.markdown.plain import plain
from chat.protocol.close_codes import describe_close_codes
from chat.protocol.errors import retryable_codes
from chat.protocol.limits import MAX_FRAME_BYTES, MAX_TEXT_BYTES
from chat.templatetags.sources import cite, sources_of
from chat.templatetags.steps import spell_seconds as spell_whole_seconds
from chat.views.appeals import cases_url, describe_moderation

register = template.Library()

ACTIVE: Final = ("pending", "streaming")
ENDLESS: Final = 1_000  # characters of a word; js/lib/text.js has the same


@register.simple_tag
def icon(name: str) -> SafeString:
    """A sign from the sprite. It is for the eye: what it stands in must have a name."""
    return _icon(static("chat/img/icons.svg"), name)


@functools.cache
def _icon(url: str, name: str) -> SafeString:
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', url, name)


@register.simple_tag
def mark() -> SafeString:
    """The product's mark: a call and its response."""
    return mark_safe(
        '<svg class="mark" viewBox="0 0 24 24" aria-hidden="true">'
        '<rect class="call" x="3" y="5" width="13" height="5.5" rx="2.75"/>'
        '<rect class="response" x="8" y="13.5" width="13" height="5.5" rx="2.75"/></svg>'
    )


@register.simple_tag
def protocol() -> SafeString:
    """What js/wire/protocol.js needs of the protocol: close codes, errors that may be tried again, sizes in bytes."""
    limits = {"text_bytes": MAX_TEXT_BYTES, "frame_bytes": MAX_FRAME_BYTES}
    closes = {
        code: one | {"message": _(one["message"]) if one["message"] else ""}
        for code, one in describe_close_codes().items()
    }
    return json_script({"closes": closes, "retryable": retryable_codes(), "limits": limits}, "protocol")


@register.filter
def answer(message: dict[str, Any]) -> SafeString:
    """An answer's HTML, as it is stored; before it has any (`workers.runtime.rendering`), its text as it was written.

    One in progress is empty: the page writes it from its source, as it goes on. Nothing is rendered in a request.
    """
    if message["status"] in ACTIVE:
        return SafeString("")
    html = message["html"] or plain(message["text"])
    return mark_safe(cite(html, sources_of(message), message["id"]))  # noqa: S308  # sanitised, or escaped


@register.filter
def thinking(message: dict[str, Any]) -> str:
    """How long the model thought, for a person; empty where it did not. Must match thinking.js."""
    reasoning = (message["run"] or {}).get("reasoning")
    if not reasoning:
        return ""
    if message["status"] in ACTIVE and not message["text"]:
        return str(_("Thinking…"))
    return str(_("Thought for %(time)s") % {"time": spell_seconds(reasoning["ms"])})


def spell_seconds(milliseconds: int) -> str:
    """Whole seconds, at least one: `24 s`, `2 min 5 s`."""
    seconds = max(1, round(milliseconds / 1000))
    return spell_whole_seconds(seconds)


@register.filter
def thoughts(message: dict[str, Any]) -> str:
    """What the model thought, as a plain text. Of an answer in progress the page writes it, from its source."""
    if message["status"] in ACTIVE:
        return ""
    return str((message["run"] or {}).get("reasoning", {}).get("text", ""))


@register.filter
def endless(text: str) -> bool:
    """Whether a text has a word of `ENDLESS` characters: its lines take seconds to lay out with kerning."""
    return len(text) >= ENDLESS and any(len(word) >= ENDLESS for word in text.split())


@register.filter
def trouble(message: dict[str, Any]) -> str:
    """Why an answer is not whole, for a person; empty where it is."""
    run = message["run"] or {}
    said = _(run["message"]) if run.get("message") else ""
    match message["status"]:
        case "stopped":
            return str(said or _("Stopped."))
        case "interrupted":
            return str(said or _("The answer was interrupted."))
        case "failed":
            return str(said or _("The model couldn’t answer."))
    return str(said or _note(run.get("finish") or "") or _replaced(message))


def _note(finish: str) -> str:
    """How a complete answer was cut; empty where it was not."""
    note = finish_note(finish)
    return _(note) if note else ""


def _replaced(message: dict[str, Any]) -> str:
    """Why a whole answer is not as the model wrote it: parts were replaced, or it was withheld after its end."""
    done = message.get("moderation") or {}
    withheld = done.get("action", "release") != "release"
    return str(_(done["reason"])) if message["role"] == "assistant" and withheld else ""


@register.filter
def moderated(message: dict[str, Any], reader_id: str) -> str:
    """What moderation did to a message, for this reader; empty where it did nothing."""
    return describe_moderation(message, reader_id)


@register.simple_tag(name="cases_url")
def cases_page() -> str:
    """The page of the user's own cases."""
    return cases_url()


@register.filter
def version(message: dict[str, Any]) -> str:
    """Which of its versions a message is: `2 / 3`."""
    versions = message.get("versions") or []
    return f"{versions.index(message['id']) + 1} / {len(versions)}" if message["id"] in versions else ""


@register.filter
def context_use(message: dict[str, Any]) -> str:
    """What an answer's request filled of the model's window, as JSON; empty for a message without a run."""
    return json.dumps(message["run"]["context"], separators=(",", ":")) if message["run"] else ""


@register.filter
def mentions(message: dict[str, Any]) -> str:
    """Where a message mentions somebody, as JSON."""
    return json.dumps(message["mentions"], separators=(",", ":"))


@register.filter
def clock(moment: str | None, zone: ZoneInfo | None) -> str:
    """A time in the reader's zone, before the script shows it in the reader's language; empty where there is none."""
    return date_format(datetime.fromisoformat(moment).astimezone(zone), "SHORT_DATETIME_FORMAT") if moment else ""


def left_out(names: list[str]) -> str:
    """Which parameters a model did not accept, for a person. Must match `leftOut` in parameter-words.js."""
    words = {"temperature": _("temperature"), "max_tokens": _("longest answer"), "effort": _("effort")}
    shown = ", ".join(words[name] for name in names if name in words)
    return _("%(names)s not accepted") % {"names": shown}


register.filter("model_name", file_name)


@register.filter
def meta(message: dict[str, Any]) -> str:
    """The small print of an answer: model, time, tokens, cost. Must match `describeAnswer` in message-marks.js."""
    run = message["run"]
    if not run or message["status"] in ACTIVE:
        return ""
    usage = message.get("usage") or {**run["usage"], "total_ms": run["timing"]["total_ms"]}
    parts = [file_name(run["model"])]
    if usage["total_ms"]:
        parts.append(_("%(seconds)s s") % {"seconds": one_digit(usage["total_ms"])})
    tokens = usage["output_tokens"]
    if tokens:
        about = "≈ " if usage.get("estimated") else ""
        parts.append(
            about
            + ngettext("%(count)s token", "%(count)s tokens", tokens)
            % {"count": number_format(tokens, 0, use_l10n=True, force_grouping=True)}
        )
    if usage.get("cost") is not None:
        parts.append(money(Decimal(usage["cost"])))
    if dropped := run.get("parameters", {}).get("dropped"):
        parts.append(left_out(dropped))
    if trace := run.get("trace"):
        parts.append(_("error %(id)s") % {"id": trace})
    return " · ".join(isolate(part) for part in parts)
