"""The page of an invitation link: sign-up for the invited email address, even when sign-up is closed.

The secret is in the link's fragment, which browsers do not send: no server's or proxy's log has it. The page's script
posts it, and its hash moves to the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from allauth.account.views import SignupView
from allauth.core.exceptions import ImmediateHttpResponse
from django import forms
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import invitations
from accounts.auth.adapter import client_ip
from accounts.auth.terms import TermsSignupForm
from accounts.lib import rate_limit
from accounts.models import Invitation, User

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

SESSION_KEY = "invitation"  # its value is the hash of the secret
OPEN_RATE = "30/m"  # of links opened from one IP address
GONE = gettext_lazy("This link was already used, has expired or was revoked. Ask for a new invitation.")
TAKEN = gettext_lazy("An account with this email address already exists. Log in instead.")

logger = structlog.get_logger(__name__)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def open_invitation(request: HttpRequest) -> HttpResponse:
    """Checks a posted secret and redirects to the form. Answers 410 for a bad link, 429 beyond OPEN_RATE."""
    if request.method != "POST":
        return render(request, "account/open_link.html")
    if rate_limit.try_acquire(
        rate_limit.required_limits((f"opened:{rate_limit.network_of(client_ip(request) or '')}", OPEN_RATE))
    ):
        return render(request, "429.html", status=429)
    invitation = invitations.find(request.POST.get("secret", ""))
    if invitation is None:
        return refuse(request, GONE)
    if request.user.is_authenticated:
        return refuse(request, _("You are logged in. To create another account, log out and open the link again."))
    if User.objects.filter(email__iexact=invitation.email).exists():
        return refuse(request, TAKEN)
    request.session[SESSION_KEY] = invitation.token_hash
    return redirect("account_accept_invitation")


def refuse(request: HttpRequest, why: StrOrPromise) -> HttpResponse:
    """The page with status 410 that says why the link does not work."""
    return render(request, "account/invitation_refused.html", {"why": why}, status=410)


class InvitationForm(TermsSignupForm):
    """allauth's sign-up form with a name, for the invited address, which cannot be changed."""

    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=120, required=False,
        help_text=gettext_lazy("Shown to other members of a conversation. If empty, they see part of your email."),
        widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True}),
    )  # fmt: skip
    field_order = ("email", "name", "password1")

    def __init__(self, *args: Any, invitation: Invitation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invitation = invitation
        self.fields["email"].initial = invitation.email
        self.fields["email"].disabled = True  # a posted value is ignored

    def save(self, request: HttpRequest) -> User:
        try:
            with transaction.atomic():
                invitation = invitations.lock(self.invitation.token_hash)
                if invitation is None:
                    raise ImmediateHttpResponse(refuse(request, GONE))
                user: User = super().save(request)
                invitations.accept(invitation, user)
        except IntegrityError:  # the user signed up without the invitation at the same moment
            raise ImmediateHttpResponse(refuse(request, TAKEN)) from None
        logger.info("invitation_accepted", invitation=str(invitation.pk), user_id=str(user.pk))
        return user

    def signup(self, request: HttpRequest, user: User) -> None:
        user.name = self.cleaned_data["name"]
        user.save(update_fields=["name"])


class AcceptInvitation(SignupView):  # type: ignore[misc]  # allauth ships no types
    """Sign-up by invitation, once `open_invitation` has put the hash of the secret into the session."""

    template_name = "account/invitation.html"
    form_class = InvitationForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        invitation = invitations.find_by_hash(request.session.get(SESSION_KEY, ""))
        if invitation is None and not request.user.is_authenticated:
            return refuse(
                request,
                _("Open the link in your email again. If it was used or has expired, ask for a new invitation."),
            )
        request.invitation = invitation  # type: ignore[attr-defined]  # the adapter then allows sign-up and knows that the address is verified
        return super().dispatch(request, *args, **kwargs)

    def get_form_class(self) -> type[InvitationForm]:  # not that of ACCOUNT_FORMS
        return InvitationForm

    def get_form_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().get_form_kwargs()
        return {**kwargs, "invitation": self.request.invitation}

    def form_valid(self, form: InvitationForm) -> HttpResponse:
        response: HttpResponse = super().form_valid(form)
        self.request.session.pop(SESSION_KEY, None)
        return response


accept_invitation = AcceptInvitation.as_view()
