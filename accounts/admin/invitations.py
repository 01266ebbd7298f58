"""The admin page of invitations: invite users, send links again, revoke them."""

from __future__ import annotations

import smtplib
from typing import Any, ClassVar, Final

import structlog
from allauth.account.adapter import get_adapter
from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminEmailInputWidget, UnfoldAdminSelectWidget

from accounts import audit, invitations, roles
from accounts.auth.adapter import mail_is_configured
from accounts.auth.requests import user_of
from accounts.models import Invitation, Plan, User
from accounts.staff.labels import Label
from accounts.staff.lists import QuickListAdmin

logger = structlog.get_logger(__name__)


STATES: Final = {
    "open": _("open"), "accepted": _("accepted"), "expired": _("expired"), "revoked": _("revoked"),
}  # fmt: skip


class InviteForm(forms.Form):
    """Offers only the plans and roles that `by` may assign."""

    email = forms.EmailField(label=_("Email address"), max_length=254, widget=UnfoldAdminEmailInputWidget)
    plan = forms.ModelChoiceField(
        Plan.objects.none(), required=False, empty_label=_("Default plan"), widget=UnfoldAdminSelectWidget
    )
    role = forms.ModelChoiceField(
        Group.objects.none(), required=False, empty_label=_("None (not staff)"), widget=UnfoldAdminSelectWidget
    )

    def __init__(self, by: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered: dict[str, QuerySet[Any]] = {
            "plan": Plan.objects.order_by("name") if by.has_perm("accounts.assign_plan") else Plan.objects.none(),
            "role": roles.grantable(by),
        }
        for name, choices in offered.items():
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = choices
            if not choices.exists():
                del self.fields[name]


@admin.register(Invitation)
class InvitationAdmin(QuickListAdmin):
    list_display = ("email", "plan", "role", "by", "coloured_state", "created_at", "expires_at")
    list_select_related = ("plan", "role", "by")
    lookups: ClassVar = frozenset({"by__exact"})
    ordering = ("-id",)
    search_fields = ("email",)
    search_help_text = _("Email address")
    fields = readonly_fields = (
        "email", "plan", "role", "by", "coloured_state", "created_at", "mailed_at", "expires_at", "accepted_at",
        "accepted_by", "revoked_at",
    )  # fmt: skip
    actions = ("send_again", "revoke")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.invite_user")

    def has_invite_permission(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(super().has_view_permission(request, obj)) or self.has_add_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @display(  # type: ignore[untyped-decorator]  # unfold's, for the colours
        description=_("State"), label={"open": "info", "accepted": "success", "expired": "warning", "revoked": "danger"}
    )
    def coloured_state(self, row: Invitation) -> Label:
        state = invitations.state(row)
        return Label(state, str(STATES[state]))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Not in a transaction, so that the mail is sent after the invitation is committed."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = InviteForm(user_of(request), request.POST or None)
        if request.method == "POST" and form.is_valid():
            chosen = form.cleaned_data
            try:
                made, secret = invitations.invite(
                    user_of(request), chosen["email"], chosen.get("plan"), chosen.get("role")
                )
            except invitations.InvitationError as error:
                form.add_error("email", str(error))
            except IntegrityError:
                form.add_error("email", gettext("This address has just been invited by someone else."))
            else:
                audit.record(request, "invite", made)
                send(request, made, secret)
                return redirect("admin:accounts_invitation_changelist")
        context = {**self.admin_site.each_context(request), "opts": self.opts, "form": form, "title": gettext("Invite")}
        context["days"] = settings.INVITATION_DAYS
        return TemplateResponse(request, "admin/accounts/invitation/invite.html", context)

    @admin.action(description=_("Send again (invalidates the previous link)"), permissions=["invite"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        for invitation in queryset:
            audit.record(request, "invite_again", invitation)
            try:
                secret = invitations.renew(user_of(request), invitation)
            except invitations.InvitationError as error:
                messages.error(request, str(error))
            else:
                send(request, invitation, secret)

    @admin.action(description=_("Revoke"), permissions=["invite"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[Invitation]) -> None:
        done = 0
        for invitation in queryset:
            if not invitations.may_invite(user_of(request), invitation.plan, invitation.role):
                messages.error(
                    request,
                    gettext("You don't have permission to revoke the invitation of %(email)s.")
                    % {"email": invitation.email},
                )
                continue
            audit.record(request, "revoke", invitation)
            done += invitations.revoke(invitation)
        messages.success(
            request,
            ngettext("%(count)d invitation was revoked.", "%(count)d invitations were revoked.", done)
            % {"count": done},
        )

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found


def send(request: HttpRequest, invitation: Invitation, secret: str) -> None:
    """Mails the link. Without a mail server the sender sees it once, and opening it does not verify the address."""
    link = request.build_absolute_uri(f"{reverse('account_invitation')}#{secret}")
    if not mail_is_configured():
        messages.warning(
            request,
            gettext("No mail server is configured. Send this link to %(email)s yourself: %(link)s")
            % {"email": invitation.email, "link": link},
        )
        return
    context = {"link": link, "by": invitation.by, "days": settings.INVITATION_DAYS, "site": settings.SITE_NAME}
    try:
        get_adapter(request).send_mail("account/email/invitation", invitation.email, context)
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("invitation_mail_failed", invitation=str(invitation.pk), error=type(error).__name__)
        messages.error(
            request, gettext("The email to %(email)s could not be sent. Try again later.") % {"email": invitation.email}
        )
        return
    Invitation.objects.filter(pk=invitation.pk, token_hash=invitation.token_hash).update(mailed_at=timezone.now())
    messages.success(request, gettext("%(email)s has been invited.") % {"email": invitation.email})
