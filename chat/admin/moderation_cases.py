"""The review queue in the admin, and the page of a case, where it is claimed and decided.

Texts are shown only with `chat.read_case`, and each reading is in the audit log before it happens. Whoever may see the
queue but not read cases sees what was found, not in what.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from accounts import audit
from accounts.auth.requests import user_of
from accounts.roles import may_manage
from accounts.staff.recorded import HistoryAdmin
from chat.admin.case_export import CaseExport
from chat.admin.links import page_link
from chat.models import File, ModerationCase
from chat.models.moderation import CaseStatus, CaseTarget, DecisionKind
from chat.protocol.errors import ChatError
from chat.review import case_file, decisions, queue, sanctions, strikes
from chat.review.announcements import statement_of
from chat.review.decisions import Decided, Outcome
from chat.review.mails import mail_decision

READ: Final = "chat.read_case"
DECIDE: Final = "chat.decide_case"
HOURS: Final = {"1": _("1 hour"), "24": _("1 day"), "72": _("3 days"), "168": _("7 days"), "720": _("30 days")}
FILTERS: Final = {
    "status": _("Status"), "severity": _("Severity"), "category": _("Category"), "direction": _("Where"),
    "origin": _("Raised by"), "age": _("Age"), "claimed": _("Claimed"),
}  # fmt: skip


@admin.register(ModerationCase)
class ModerationCaseAdmin(CaseExport, HistoryAdmin):
    """Django's list and form are replaced by pages of their own; permissions and addresses stay Django's."""

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Callable[..., HttpResponseBase]] = {
            "claim": self.claim,
            "unclaim": self.release_claim,
            "decide": self.decide,
        }
        own = [
            path(
                f"<uuid:case_id>/{name}/",
                self.admin_site.admin_view(require_POST(view)),
                name=f"chat_moderationcase_{name}",
            )
            for name, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    # --- the queue -----------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        viewer, query = user_of(request), queue.parse_query(request.GET.dict())
        rows, following = queue.read_page(viewer, query)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Review queue"),
            "rows": queue.shown_rows(rows, viewer),
            "filters": [
                (name, title, queue.CHOICES[name], query.chosen.get(name, "")) for name, title in FILTERS.items()
            ],
            "person": query.person,
            "is_decided": query.is_decided,
            "address": query.address(),
            "next": query.address(after=following) if following else "",
            "first": query.address() if query.after else "",
            "may_decide": request.user.has_perm(DECIDE),
            "may_export": self.may_export(request),
        }
        return TemplateResponse(request, "admin/chat/moderation/queue.html", context)

    # --- a case --------------------------------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Shows the case; with its texts only by permission, and only after an entry in the audit log."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        may_read = request.user.has_perm(READ)
        rows = ModerationCase.objects.select_related("person", "claimed_by", "conversation")
        try:
            case = (rows if may_read else rows.defer(*queue.TEXTS)).get(pk=uuid.UUID(object_id))
        except (ValueError, ModerationCase.DoesNotExist):
            raise Http404 from None
        if may_read:
            audit.record(request, "read_case", case, conversation_id=case.conversation_id)
        return TemplateResponse(request, "admin/chat/moderation/case.html", self._context(request, case, may_read))

    def _context(self, request: HttpRequest, case: ModerationCase, may_read: bool) -> dict[str, Any]:
        viewer, query = user_of(request), queue.parse_query(request.GET.dict())
        made = list(case.decisions.select_related("decided_by", "strike"))
        may_decide = request.user.has_perm(DECIDE) and may_read
        wrong = decisions.why_not_review(viewer, case) if may_decide else ""
        mine = case.status == CaseStatus.CLAIMED and case.claimed_by_id == viewer.pk
        notes = [gettext("Shown unchanged"), gettext("Matches are replaced"), gettext("The text is removed")]
        if case.target == CaseTarget.FILE:
            notes = [
                gettext("Models and readers get it"), gettext("Models get it without the matches"),
                gettext("The file is deleted"),
            ]  # fmt: skip
        shown: dict[str, Any] = {}
        if may_read:
            shown = {"pieces": case_file.pieces(case), "thought": case_file.pieces_of_reasoning(case),
                     "around": case_file.around(case), "appeal": case.appeal,
                     "cut": len(case.original) > case_file.MOST_SHOWN}  # fmt: skip
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": gettext("Case %(id)s") % {"id": str(case.pk)[-8:]},
            "case": case,
            "links": self._links(request, case),
            "may_read": may_read,
            "may_decide": may_decide,
            "wrong": wrong,
            "mine": mine,
            "is_appeal": decisions.is_appeal(case),
            "is_stale": case.status == CaseStatus.CLAIMED and decisions.is_stale(case),
            "found": [self._found(entry) for entry in case.rules],
            "reports": list(case.reports.select_related("reporter").order_by("reported_at")),
            "history": [(one, statement_of(case, one)) for one in made],
            "strikes": sum(strikes.valid_strikes(case.person).values_list("count", flat=True)) if case.person else 0,
            "texts": [
                ("release", gettext("Release"), "r", notes[0]),
                ("mask", gettext("Mask"), "m", notes[1]),
                ("delete", gettext("Delete"), "d", notes[2]),
            ],
            "persons": self._persons(viewer, case),
            "hours": HOURS.items(),
            "query": query.address(),
            **shown,
        }

    def _persons(self, viewer: Any, case: ModerationCase) -> list[tuple[str, str, str, str]]:
        if case.person is None:
            return []
        offered = [("warn", gettext("Warn"), "w", gettext("A notice, and a strike"))]
        if viewer.has_perm(sanctions.PERMISSION) and may_manage(viewer, case.person):
            offered += [
                ("suspend", gettext("Suspend"), "s", gettext("Can read but not write")),
                ("block", gettext("Block"), "b", gettext("Cannot log in")),
            ]
        return offered

    def _links(self, request: HttpRequest, case: ModerationCase) -> list[tuple[str, Any]]:
        links: list[tuple[str, Any]] = []
        if case.conversation_id and request.user.has_perm("chat.view_conversation"):
            links.append((gettext("Conversation"), page_link("conversation", case.conversation_id)))
        attached = case.target == CaseTarget.FILE and request.user.has_perm("chat.view_file")
        if attached and File.objects.filter(pk=case.target_id).exists():
            links.append((gettext("File"), page_link("file", case.target_id)))
        if case.target == CaseTarget.MESSAGE and request.user.has_perm("chat.view_message"):
            links.append((gettext("Message"), page_link("message", case.target_id)))
        return links

    def _found(self, entry: dict[str, Any]) -> dict[str, Any]:
        scores = entry.get("scores") or {}
        return {
            "name": entry.get("name") or entry.get("judge") or "–",
            "version": entry.get("version"),
            "category": entry.get("category", ""),
            "hits": len(entry.get("places", ())),
            "scores": ", ".join(f"{name} {score:.2f}" for name, score in scores.items() if isinstance(score, float)),
            "address": reverse("admin:chat_moderationrule_change", args=[entry["rule"]]) if entry.get("rule") else "",
        }

    # --- what a reviewer does ------------------------------------------------------------------------------------

    def claim(self, request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
        return self._act(request, case_id, "claim_case", lambda: decisions.claim(user_of(request), case_id))

    def release_claim(self, request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
        return self._act(request, case_id, "release_case", lambda: decisions.release_claim(user_of(request), case_id))

    def decide(self, request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
        """Decides, or hears the appeal, and goes on to the next case of the queue."""
        actor = user_of(request)
        try:
            outcome = self._outcome(request)
        except ValueError:
            messages.error(request, gettext("Choose a valid decision."))
            return self._back(request, case_id)
        case = ModerationCase.objects.filter(pk=case_id).defer(*queue.TEXTS).first()
        hearing = case is not None and decisions.is_appeal(case)
        use = decisions.hear_appeal if hearing else decisions.decide
        kinds = ", ".join(filter(None, (outcome.text, outcome.person)))
        decided: list[Decided] = []
        response = self._act(
            request, case_id, "hear_appeal" if hearing else "decide_case",
            lambda: decided.append(use(actor, case_id, outcome)), details=kinds,
        )  # fmt: skip
        if not decided:
            return response
        messages.success(request, " ".join([gettext("Decided."), *decided[0].effects]))
        if not mail_decision(request, decided[0]):
            messages.warning(
                request, gettext("The email to the user could not be sent. The decision is shown on their page.")
            )
        query = queue.parse_query(request.GET.dict())
        following = queue.next_case(actor, query, decided[0].case)
        if following is None:
            return redirect(f"{reverse('admin:chat_moderationcase_changelist')}?{query.address()}")
        return self._back(request, following)

    def _outcome(self, request: HttpRequest) -> Outcome:
        """What the form says. Raises `ValueError`."""
        text, person = request.POST.get("text", ""), request.POST.get("person", "")
        chosen = DecisionKind(text) if text else None
        consequence = DecisionKind(person) if person else None
        if chosen not in (None, *decisions.TEXTS) or consequence not in (None, *decisions.PERSONS):
            raise ValueError
        hours = int(request.POST.get("hours") or 0) if consequence == DecisionKind.SUSPEND else None
        return Outcome(chosen, consequence, request.POST.get("note", "").strip(), hours)

    def _act(
        self, request: HttpRequest, case_id: uuid.UUID, verb: str, act: Callable[[], Any], *, details: str = ""
    ) -> HttpResponse:
        """Does it and records it, or neither, and shows why not. Then shows the case."""
        if not (self.has_view_permission(request) and request.user.has_perms((READ, DECIDE))):
            raise PermissionDenied
        case = ModerationCase.objects.filter(pk=case_id).only("pk", "conversation_id").first()
        if case is None:
            raise Http404
        try:
            with transaction.atomic():
                audit.record(request, verb, case, conversation_id=case.conversation_id, details=details)
                act()
        except ChatError as error:
            messages.error(request, error.message)
        return self._back(request, case_id)

    def _back(self, request: HttpRequest, case_id: uuid.UUID) -> HttpResponse:
        query = queue.parse_query(request.GET.dict()).address()
        return redirect(f"{reverse('admin:chat_moderationcase_change', args=[case_id])}?{query}")
