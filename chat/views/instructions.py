"""The page of a user's own instructions, which models get in answers to their messages."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.auth.requests import user_of
from accounts.lib.formatting import grouped
from chat.models import MAX_INSTRUCTIONS, Instructions
from chat.models.moderation import CaseTarget, Direction
from chat.moderation.screening import screen_field
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Moderated
from chat.views.appeals import refusal_of
from chat.views.decorators import for_members


class InstructionsForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    # Browsers send two characters for each end of a line, so the length is checked after they are one again.
    text = forms.CharField(
        label=gettext_lazy("About you, and how to answer"),
        required=False,
        strip=True,
        widget=forms.Textarea(attrs={"rows": 10, "dir": "auto", "maxlength": MAX_INSTRUCTIONS}),
        help_text=gettext_lazy(
            "For example what you do, which language and how long an answer you like. At most 4,000 characters."
        ),
    )

    class Meta:
        model = Instructions
        fields = ("text", "enabled")
        labels = {"enabled": gettext_lazy("Use them in my conversations")}  # noqa: RUF012  # Django reads it once

    def clean_text(self) -> str:
        text = clean_controls(str(self.cleaned_data["text"]).replace("\r\n", "\n")).strip()
        if len(text) > MAX_INSTRUCTIONS:
            raise forms.ValidationError(
                _("At most %(most)s characters; these are %(count)s."),
                params={"most": grouped(MAX_INSTRUCTIONS), "count": grouped(len(text))},
            )
        user_id = self.instance.user_id
        try:
            return screen_field(text, user_id, CaseTarget.PRESET, user_id, direction=Direction.ASKED)
        except Moderated as error:
            raise refusal_of(error) from None


@sensitive_post_parameters("text")
@require_http_methods(["GET", "HEAD", "POST"])
@for_members
def edit_instructions(request: HttpRequest) -> HttpResponse:
    """Shows the form, or saves it. An empty text deletes the row."""
    user = user_of(request)
    known = Instructions.objects.filter(user=user).first()
    form = InstructionsForm(request.POST or None, instance=known or Instructions(user=user))
    if request.method == "POST" and form.is_valid():
        _save(form.instance)
        messages.success(request, _("Your instructions have been saved."))
        return redirect("chat:instructions")
    return render(request, "chat/instructions.html", {"form": form})


def _save(row: Instructions) -> None:
    if not row.text:
        Instructions.objects.filter(user_id=row.user_id).delete()
        return
    Instructions.objects.update_or_create(
        user_id=row.user_id, defaults={"text": row.text, "enabled": row.enabled, "updated_at": timezone.now()}
    )
