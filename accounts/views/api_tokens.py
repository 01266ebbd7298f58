"""A user's API tokens: what there is, a new one after entering the password again, and revoking one."""

from __future__ import annotations

import smtplib
import uuid
from typing import Any

import structlog
from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import security_log
from accounts.auth.adapter import AccountAdapter
from accounts.auth.api_tokens import (
    TooManyTokensError,
    create_token,
    most_tokens,
    revoke_tokens,
    shown_scopes,
    working_tokens,
)
from accounts.auth.requests import AuthenticatedRequest
from accounts.features import api_is_on
from accounts.lib.names import shown_name
from accounts.lib.sent_once import new_form_id, was_sent
from accounts.models import ApiToken, TokenScope, User

logger = structlog.get_logger(__name__)

NEVER = "0"


class TokenForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=60, help_text=gettext_lazy("What you will use it for."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )  # fmt: skip
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Permissions"), choices=TokenScope.choices, widget=forms.CheckboxSelectMultiple,
        initial=[TokenScope.MODELS.value, TokenScope.CHAT.value],
    )  # fmt: skip
    days = forms.ChoiceField(
        label=gettext_lazy("Expires"), initial="90",
        choices=(
            ("7", gettext_lazy("in 7 days")), ("30", gettext_lazy("in 30 days")), ("90", gettext_lazy("in 90 days")),
            ("365", gettext_lazy("in a year")), (NEVER, gettext_lazy("never")),
        ),
    )  # fmt: skip
    per_minute = forms.IntegerField(
        label=gettext_lazy("Requests per minute"), required=False, min_value=1, max_value=100_000,
        help_text=gettext_lazy("If empty, only the site’s limit applies."),
    )  # fmt: skip
    daily_requests = forms.IntegerField(
        label=gettext_lazy("Answers per day"), required=False, min_value=1, max_value=1_000_000,
        help_text=gettext_lazy("Beside your quotas. If empty, only these apply."),
    )  # fmt: skip

    def clean_name(self) -> str:
        name = shown_name(self.cleaned_data["name"])
        if not name:
            raise forms.ValidationError(_("Enter a name that can be seen."))
        return name


@require_safe
@never_cache
@login_required
def show_tokens(request: AuthenticatedRequest) -> HttpResponse:
    """The user's tokens that work, the newest first."""
    _check_switched_on()
    rows = [
        {"token": row, "scopes": shown_scopes(row.scopes), "per_minute": _per_minute(row.rate)}
        for row in working_tokens(request.user.pk).order_by("-pk")
    ]
    room = most_tokens(request.user) - len(rows)
    context = {"rows": rows, "may_create": room > 0, "base_url": _base_url(request)}
    return render(request, "account/api_tokens.html", context)


def _per_minute(rate: str) -> int:
    """The requests a minute of a token's own rate, as `create` writes it; 0: it has none of that kind."""
    number = rate.removesuffix("/m")
    return int(number) if number.isdecimal() else 0


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
@sensitive_variables("secret")
def create(request: AuthenticatedRequest) -> HttpResponse:
    """The form of a new token; POST creates it and shows its secret, this once."""
    _check_switched_on()
    user = request.user
    form = TokenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if was_sent(request):  # the page that shows the secret was loaded again
            return redirect("account_api_tokens")
        given = form.cleaned_data
        try:
            made, secret = create_token(
                user, given["name"], given["scopes"], days=int(given["days"]) or None,
                rate=f"{given['per_minute']}/m" if given["per_minute"] else "", daily_requests=given["daily_requests"],
            )  # fmt: skip
        except TooManyTokensError as error:
            form.add_error(None, _too_many(error.limit))
        else:
            details = f"{made.prefix}: {', '.join(made.scopes)}"
            security_log.report(request, "api_token_created", user, details=details)
            _mail(request, user, made)
            context = {"token": made, "secret": secret, "base_url": _base_url(request)}
            return render(request, "account/api_token_created.html", context)
    return render(request, "account/api_token_new.html", {"form": form, "form_id": new_form_id()})


@require_POST
@never_cache
@login_required
def revoke(request: AuthenticatedRequest, token_id: uuid.UUID) -> HttpResponse:
    """Revokes one of the user's tokens. 404 for those of others."""
    row = ApiToken.objects.filter(pk=token_id, user=request.user.pk).first()
    if row is None:
        raise Http404
    security_log.report(request, "api_token_revoked", request.user, details=row.prefix)
    revoke_tokens(ApiToken.objects.filter(pk=row.pk))
    messages.success(request, _("The token has been revoked."))
    return redirect("account_api_tokens")


def _check_switched_on() -> None:
    if not api_is_on():
        raise Http404


def _base_url(request: HttpRequest) -> str:
    return request.build_absolute_uri("/v1")


def _too_many(limit: int) -> str:
    if not limit:
        return _("Your plan has no API tokens.")
    return ngettext(
        "You can have at most %(limit)d working token. Revoke it first.",
        "You can have at most %(limit)d working tokens. Revoke one first.",
        limit,
    ) % {"limit": limit}


def _mail(request: HttpRequest, user: User, made: ApiToken) -> None:
    """Tells the owner, in case it was somebody else. A mail server that is away changes nothing."""
    context: dict[str, Any] = {"token": made, "url": reverse("account_api_tokens")}
    try:
        AccountAdapter(request).send_mail("account/email/api_token", user.email, context)
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("mail_not_sent", template="api_token", error=type(error).__name__)
