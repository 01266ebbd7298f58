"""Forms of the actions on a user in the admin: top up a quota, and confirm an erasure."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import User
from accounts.models.fields import MOST, NANO
from accounts.quotas.balance import user_balances
from accounts.quotas.wording import quota_name


class QuotaTopUpForm(forms.Form):
    """Offers the quotas that apply to a user."""

    quota = forms.TypedChoiceField(coerce=int, widget=UnfoldAdminSelectWidget)
    amount = forms.DecimalField(
        min_value=NANO, max_value=MOST, max_digits=24, decimal_places=9, widget=UnfoldAdminDecimalFieldWidget,
        help_text=_("Added to the current period."),
    )  # fmt: skip
    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, help_text=_("Shown with the top-up."))

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["quota"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [(balance.quota_id, quota_name(balance)) for balance in user_balances(user.pk)]


class EraseForm(forms.Form):
    """Asks for the user's email address as confirmation."""

    email = forms.CharField(
        label=_("Type the user's email address to confirm"),
        widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_email(self) -> str:
        typed = str(self.cleaned_data["email"]).strip().lower()
        if typed != self.user.email:
            raise ValidationError(gettext("This is not the user's email address."))
        return typed
