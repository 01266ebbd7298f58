"""A user's own webhooks: the list with what was sent last, a new one, its secret, on and off, deletion."""

from __future__ import annotations

import uuid
from typing import Any, Final

from allauth.account.decorators import reauthentication_required
from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import security_log
from accounts.auth.requests import user_of
from accounts.lib.names import shown_name
from accounts.lib.sent_once import new_form_id, was_sent
from chat.models.webhooks import OF_USERS, Webhook, WebhookDelivery, WebhookEvent
from chat.views.decorators import for_members
from chat.webhooks.addresses import check_address
from chat.webhooks.own import OwnWebhookError, create_own, own_webhooks
from chat.webhooks.record import send_soon

SHOWN: Final = 10  # of the last deliveries of each
LABELS: Final = {
    WebhookEvent.ANSWER_FINISHED.value: gettext_lazy("An answer that I asked for has ended"),
    WebhookEvent.QUOTA_REACHED.value: gettext_lazy("I have used up a quota"),
}


class OwnWebhookForm(forms.Form):
    name = forms.CharField(
        label=gettext_lazy("Name"), max_length=80, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    url = forms.CharField(
        label=gettext_lazy("Address"), max_length=500,
        help_text=gettext_lazy("It gets a signed POST for each event, and must be reachable from the internet."),
        widget=forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://"}),
    )  # fmt: skip
    events = forms.MultipleChoiceField(
        label=gettext_lazy("Events"), choices=[(one.value, LABELS[one.value]) for one in OF_USERS],
        widget=forms.CheckboxSelectMultiple, initial=[OF_USERS[0].value],
    )  # fmt: skip
    with_text = forms.BooleanField(
        label=gettext_lazy("With the texts of questions and answers"), required=False,
        help_text=gettext_lazy("Otherwise ids and numbers only."),
    )  # fmt: skip

    def clean_name(self) -> str:
        name = shown_name(self.cleaned_data["name"])
        if not name:
            raise forms.ValidationError(_("Enter a name that can be seen."))
        return name

    def clean_url(self) -> str:
        return check_address(self.cleaned_data["url"])


@require_safe
@for_members
def list_webhooks(request: HttpRequest) -> HttpResponse:
    """The user's own, each with how the last deliveries went."""
    _check_offered()
    rows = list(own_webhooks(user_of(request)))
    shown = [
        {
            "webhook": row, "events": [str(LABELS.get(name, name)) for name in row.events],
            "deliveries": WebhookDelivery.objects.filter(webhook=row).order_by("-pk")[:SHOWN],
        }
        for row in rows
    ]  # fmt: skip
    context = {"rows": shown, "may_create": len(rows) < settings.USER_WEBHOOKS}
    return render(request, "chat/own_webhooks.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@for_members
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
@sensitive_variables("secret")
def create_webhook(request: HttpRequest) -> HttpResponse:
    """The form of a new one; POST creates it and shows its secret, this once."""
    _check_offered()
    form = OwnWebhookForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if was_sent(request):  # the page that shows the secret was loaded again
            return redirect("chat:webhooks")
        given = form.cleaned_data
        try:
            made, secret = create_own(
                user_of(request), given["name"], given["url"], given["events"], with_text=given["with_text"]
            )
        except OwnWebhookError as error:
            form.add_error(None if str(error) == "many" else "name", _why_not(str(error)))
        else:
            security_log.report(request, "webhook_created", user_of(request), details=made.name)
            return render(request, "chat/own_webhook_secret.html", {"webhook": made, "secret": secret})
    return render(request, "chat/own_webhook_new.html", {"form": form, "form_id": new_form_id()})


@require_POST
@for_members
def switch_webhook(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """On, which sends what waited, or off."""
    row = _find(request, webhook_id)
    row.enabled = not row.enabled
    if row.enabled:
        row.disabled_because = ""
    row.save(update_fields=["enabled", "disabled_because"])
    if row.enabled:
        send_soon()
    messages.success(request, _("The webhook is on.") if row.enabled else _("The webhook is off."))
    return redirect("chat:webhooks")


@require_POST
@for_members
@reauthentication_required  # type: ignore[untyped-decorator]  # allauth ships no types
@sensitive_variables("secret")
def renew_secret(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """A new secret, shown this once. The one before signs as well for a day."""
    row = _find(request, webhook_id)
    secret = row.new_secret()
    row.save(update_fields=["encrypted_secret", "encrypted_old_secret", "rotated_at"])
    security_log.report(request, "webhook_secret_renewed", user_of(request), details=row.name)
    return render(request, "chat/own_webhook_secret.html", {"webhook": row, "secret": secret})


@require_POST
@for_members
def delete_webhook(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    row = _find(request, webhook_id)
    security_log.report(request, "webhook_deleted", user_of(request), details=row.name)
    row.delete()
    messages.success(request, _("The webhook has been deleted."))
    return redirect("chat:webhooks")


def _find(request: HttpRequest, webhook_id: uuid.UUID) -> Webhook:
    """One of the user's own; 404 for all others."""
    row = own_webhooks(user_of(request)).filter(pk=webhook_id).first()
    if row is None:
        raise Http404
    return row


def _check_offered() -> None:
    if not settings.USER_WEBHOOKS:
        raise Http404


def _why_not(reason: str) -> Any:
    if reason == "name":
        return _("You have a webhook of this name already.")
    return ngettext(
        "You can have at most %(limit)d webhook. Delete it first.",
        "You can have at most %(limit)d webhooks. Delete one first.",
        settings.USER_WEBHOOKS,
    ) % {"limit": settings.USER_WEBHOOKS}
