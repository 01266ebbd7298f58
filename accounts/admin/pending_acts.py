"""The admin page of acts that wait for a second member of staff (`accounts.four_eyes`)."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from accounts import audit, erasure, four_eyes
from accounts.auth.proof import check_recent_proof
from accounts.auth.requests import user_of
from accounts.lib.formatting import from_to
from accounts.models import ActKind, ActState, PendingAct, User
from accounts.staff.labels import Label
from accounts.staff.lists import QuickListAdmin
from accounts.staff.notices import register_notices
from accounts.staff.recorded import UnchangeableRows

WHY_NOT: Final = {
    "own": _("You requested this yourself: somebody else has to decide."),
    "permission": _("You don’t have permission to do this."),
    "late": _("This was decided already, or has expired."),
}


@admin.register(PendingAct)
class PendingActAdmin(UnchangeableRows, QuickListAdmin):
    list_display = ("act", "concerned", "reason", "asked_by", "asked_at", "coloured_state", "decided_by")
    list_select_related = ("user", "asked_by", "decided_by")
    list_filter = ("state", "kind")
    ordering = ("-id",)
    fields = readonly_fields = (
        "act", "concerned", "reason", "asked_by", "asked_at", "coloured_state", "decided_by", "decided_at",
    )  # fmt: skip
    actions = ("approve", "refuse")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return any(request.user.has_perm(name) for name in four_eyes.PERMISSIONS.values())

    def get_queryset(self, request: HttpRequest) -> QuerySet[PendingAct]:
        """Only acts that one may do oneself: the others show whom they concern."""
        kinds = [kind for kind, name in four_eyes.PERMISSIONS.items() if request.user.has_perm(name)]
        found: QuerySet[PendingAct] = super().get_queryset(request).filter(kind__in=kinds)
        return found

    @admin.display(description=_("Request"))
    def act(self, row: PendingAct) -> str:
        return str(ActKind(row.kind).label)

    @admin.display(description=_("Concerns"))
    def concerned(self, row: PendingAct) -> str:
        who = str(row.user or "")
        return from_to(who, row.what) if who and row.what else who or row.what

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("State"),
        label={"waiting": "info", "approved": "success", "done": "success", "refused": "danger"},
    )
    def coloured_state(self, row: PendingAct) -> Label:
        return Label(row.state, str(ActState(row.state).label))

    @admin.action(description=_("Approve"), permissions=["decide"])
    def approve(self, request: HttpRequest, queryset: QuerySet[PendingAct]) -> None:
        self._decide(request, queryset, approve=True)

    @admin.action(description=_("Refuse"), permissions=["decide"])
    def refuse(self, request: HttpRequest, queryset: QuerySet[PendingAct]) -> None:
        self._decide(request, queryset, approve=False)

    def _decide(self, request: HttpRequest, queryset: QuerySet[PendingAct], *, approve: bool) -> None:
        check_recent_proof(request)
        done = 0
        for act in queryset:
            about = [act.user_id, act.asked_by_id]
            try:
                four_eyes.check_decidable(act, user_of(request))
                verb = "approve_act" if approve else "refuse_act"
                audit.record(request, verb, act, details=f"{act.kind} {act.what}", reason=act.reason, subjects=about)
                four_eyes.decide(act, user_of(request), approve=approve)
            except four_eyes.NotDecidableError as error:
                messages.error(request, str(WHY_NOT[str(error)]))
            except erasure.LastAdministratorError as error:
                messages.error(request, str(error))
            else:
                done += 1
        if done:
            said = (
                ngettext("%(count)d request was approved.", "%(count)d requests were approved.", done)
                if approve
                else ngettext("%(count)d request was refused.", "%(count)d requests were refused.", done)
            )
            messages.success(request, said % {"count": done})

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found


def waiting_notice(viewer: User) -> list[tuple[str, str, str]]:
    """What the admin's first page says of requests that the viewer may decide."""
    if not settings.FOUR_EYES or not (waiting := four_eyes.waiting_for(viewer)[:100].count()):
        return []
    said = ngettext("%(count)d request is awaiting approval.", "%(count)d requests are awaiting approval.", waiting)
    address = f"{reverse('admin:accounts_pendingact_changelist')}?state__exact={ActState.WAITING}"
    return [(said % {"count": waiting}, gettext("Show"), address)]


register_notices(waiting_notice)


def asked_sentence(*, is_new: bool) -> str:
    """What whoever asked for an act is told."""
    if is_new:
        return gettext("Requested. Somebody else with this permission has to approve it, under Approvals.")
    return gettext("You have requested this already. Somebody else has to approve it, under Approvals.")
