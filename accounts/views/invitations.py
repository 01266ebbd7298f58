"""Where an invitation's link leads: to the sign-up page, for that address only, also when sign-up is closed.

The secret stands in the query, which no log shows, and goes into the session at once: the page itself has a plain
address that can be seen in a referrer or over a shoulder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from allauth.account.forms import SignupForm
from allauth.account.views import SignupView
from allauth.core.exceptions import ImmediateHttpResponse
from django import forms
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts import invitations
from accounts.auth.adapter import client_ip
from accounts.lib import rate_limit
from accounts.models import Invitation, User

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

KEPT = "invitation"  # of the session: the secret's hash
OPENED = "30/m"  # links opened from one address
GONE = gettext_lazy("This link was used, is too old, or was taken back. Ask for another one.")
TAKEN = gettext_lazy("There is an account with this address already: log in.")

logger = structlog.get_logger(__name__)


@require_safe
@never_cache
def open_invitation(request: HttpRequest) -> HttpResponse:
    """Takes the link's secret: on to the form, or 410 with what to do, 429 when there were too many."""
    if rate_limit.try_acquire(
        rate_limit.required_limits((f"opened:{rate_limit.network_of(client_ip(request) or '')}", OPENED))
    ):
        return render(request, "429.html", status=429)
    invitation = invitations.find(request.GET.get("token", ""))
    if invitation is None:
        return refuse(request, GONE)
    if request.user.is_authenticated:
        return refuse(request, _("You are logged in. To make another account, log out first and open the link again."))
    if User.objects.filter(email__iexact=invitation.email).exists():
        return refuse(request, TAKEN)
    request.session[KEPT] = invitation.token_hash
    return redirect("account_accept_invitation")


def refuse(request: HttpRequest, why: StrOrPromise) -> HttpResponse:
    return render(request, "account/invitation_refused.html", {"why": why}, status=410)


class InvitationForm(SignupForm):  # type: ignore[misc]  # allauth ships no types
    """allauth's sign-up for one address, which cannot be changed, with a name."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120, required=False,
        help_text=gettext_lazy("What others in a conversation see. Empty shows the first part of your e-mail address."),
        widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}),
    )  # fmt: skip
    field_order = ("email", "name", "password1")

    def __init__(self, *args: Any, invitation: Invitation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = invitation
        self.fields["email"].initial = invitation.email
        self.fields["email"].disabled = True  # what is posted for it is not looked at

    def save(self, request: HttpRequest) -> User:
        try:
            with transaction.atomic():
                held = invitations.hold(self.invitation.token_hash)
                if held is None:
                    raise ImmediateHttpResponse(refuse(request, GONE))
                user: User = super().save(request)
                invitations.fulfil(held, user)
        except IntegrityError:  # signed up by themselves at this moment
            raise ImmediateHttpResponse(refuse(request, TAKEN)) from None
        logger.info("invitation_accepted", invitation=str(held.pk), user_id=str(user.pk))
        return user

    def signup(self, request: HttpRequest, user: User) -> None:
        user.name = self.cleaned_data["name"]
        user.save(update_fields=["name"])


class AcceptInvitation(SignupView):  # type: ignore[misc]  # allauth ships no types
    template_name = "account/invitation.html"
    form_class = InvitationForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        invitation = invitations.find_by_hash(request.session.get(KEPT, ""))
        if invitation is None and not request.user.is_authenticated:
            return refuse(request, _("Open the link in the mail again. If it was used or is too old, ask for another."))
        request.invitation = invitation  # type: ignore[attr-defined]  # for the adapter: it opens sign-up, and vouches
        return super().dispatch(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_form_kwargs()
        return {**kwargs, "invitation": self.request.invitation}

    def form_valid(self, form: InvitationForm) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        self.request.session.pop(KEPT, None)
        return response


accept_invitation = AcceptInvitation.as_view()
