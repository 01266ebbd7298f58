"""A conversation as staff read it: its messages in the order of time on one page, each with its runs, files, cases of
moderation and ratings. Each page shown is one entry in the audit log.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from accounts import audit
from accounts.lib.formatting import milliseconds, money, number
from chat.models import Attachment, Conversation, File, Member, Message, ModerationCase, Rating, Run
from chat.models.messages import READ_TEXT
from chat.models.moderation import CaseTarget

SHOWN: Final = 200  # messages of a page
MOST_CASES: Final = 1_000
_RUN_FIELDS: Final = (
    "message_id", "prompt_id", "model", "status", "finish", "error_code", "error_message", "upstream_said",
    "upstream_request", "first_token_ms", "total_ms", "input_tokens", "output_tokens", "cost", "created_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReadRun:
    """`facts`: model, times, tokens and cost in one line. `provider` is what the provider said about a failure."""

    row: Run
    facts: str
    provider: str


def _shown_run(run: Run) -> ReadRun:
    facts = [run.model, str(run.get_status_display())]
    if run.first_token_ms is not None:
        facts.append(gettext("first token after %(time)s") % {"time": milliseconds(run.first_token_ms)})
    if run.total_ms is not None:
        facts.append(gettext("%(time)s in total") % {"time": milliseconds(run.total_ms)})
    if run.output_tokens is not None:
        tokens = {"input": number(run.input_tokens or 0), "output": number(run.output_tokens)}
        facts.append(gettext("%(input)s input tokens, %(output)s output tokens") % tokens)
    if run.cost is not None:
        facts.append(money(run.cost))
    return ReadRun(run, " · ".join(facts), " ".join(filter(None, (run.upstream_said, run.upstream_request))))


@dataclass
class ReadMessage:
    """A message with what belongs to it. `number` is its place in the conversation, from 1; `answers` the place of the
    message that it answers, where that is not the one before it and is on the same page.
    """

    row: Message
    number: int
    answers: int = 0
    elsewhere: bool = False  # it answers a message of an earlier page
    runs: list[ReadRun] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    cases: list[ModerationCase] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)

    @property
    def withheld(self) -> bool:
        return (self.row.moderation or {}).get("action") in ("hold", "block", "withdrawn")


class ReadingActions:
    """The page below a conversation's admin page, for `ConversationAdmin`."""

    admin_site: Any
    opts: Any

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.read)
        named = path("<uuid:id_>/read/", view, name="chat_conversation_read")
        return [named, *super().get_urls()]  # type: ignore[misc]  # ModelAdmin's, which this is mixed into

    def read(self, request: HttpRequest, id_: uuid.UUID) -> HttpResponse:
        """Query: `page`, from 1; or `message`, the id of one that the page should have."""
        if not request.user.has_perms(["chat.view_conversation", READ_TEXT]):
            raise PermissionDenied
        conversation = get_object_or_404(Conversation.objects.select_related("preset"), pk=id_)
        total = Message.objects.filter(conversation=conversation).count()
        last_page = max(1, -(-total // SHOWN))
        page = min(_page_asked(request, conversation), last_page)
        first = (page - 1) * SHOWN
        said = f"messages {first + 1}-{min(first + SHOWN, total)} of {total}"
        members = list(Member.objects.filter(conversation=conversation).select_related("user").order_by("pk"))
        people = [member.user_id for member in members]
        audit.record(request, "read_body", conversation, conversation_id=id_, details=said, subjects=people)
        may_see_cases = request.user.has_perm("chat.view_moderationcase")
        cases = _cases(conversation) if may_see_cases else []
        shown = _messages(conversation, first, cases)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": conversation,
            "conversation": conversation,
            "title": conversation.title or gettext("Untitled conversation"),
            "members": members,
            "shown": shown,
            "total": total,
            "page": page,
            "last_page": last_page,
            "wanted": request.GET.get("message", ""),
            "others": [case for case in cases if case.target != CaseTarget.MESSAGE],
        }
        return TemplateResponse(request, "admin/chat/conversation_read.html", context)


def _page_asked(request: HttpRequest, conversation: Conversation) -> int:
    try:
        wanted = uuid.UUID(request.GET.get("message", ""))
    except ValueError:
        text = request.GET.get("page", "")
        return max(1, int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else 1
    rows = Message.objects.filter(conversation=conversation)
    at = rows.filter(pk=wanted).values_list("created_at", flat=True).first()
    if at is None:
        return 1
    before = rows.filter(created_at__lt=at).count() + rows.filter(created_at=at, pk__lt=wanted).count()
    return before // SHOWN + 1


def _messages(conversation: Conversation, first: int, cases: list[ModerationCase]) -> list[ReadMessage]:
    """The messages of a page with all that belongs to them, in a constant number of queries."""
    rows = Message.objects.filter(conversation=conversation).select_related("author").defer("html")
    found = list(rows.order_by("created_at", "pk")[first : first + SHOWN])
    read = [ReadMessage(row, first + place) for place, row in enumerate(found, 1)]
    by_id = {one.row.pk: one for one in read}
    before: Message | None = None
    for one in read:
        parent = one.row.parent_id
        if parent is not None and (before is None or parent != before.pk):
            one.answers = by_id[parent].number if parent in by_id else 0
            one.elsewhere = parent not in by_id
        before = one.row
    ids = list(by_id)
    for run in Run.objects.filter(message__in=ids).only(*_RUN_FIELDS).order_by("created_at"):
        by_id[run.message_id].runs.append(_shown_run(run))
    attached = Attachment.objects.filter(message__in=ids).select_related("file__blob").order_by("position")
    for attachment in attached:
        by_id[attachment.message_id].files.append(attachment.file)
    for rating in Rating.objects.filter(message__in=ids).select_related("user"):
        by_id[rating.message_id].ratings.append(rating)
    for case in cases:
        if case.target == CaseTarget.MESSAGE and case.target_id in by_id:
            by_id[case.target_id].cases.append(case)
    return read


def _cases(conversation: Conversation) -> list[ModerationCase]:
    """The cases of a conversation, also those of its title, files, calls of tools and refused messages; without the
    original texts, which need a permission of their own. `report_count` is how many people reported it.
    """
    rows = ModerationCase.objects.filter(conversation=conversation).defer("original", "original_reasoning", "appeal")
    return list(rows.annotate(report_count=Count("reports")).order_by("opened_at")[:MOST_CASES])
