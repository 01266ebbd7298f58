"""Forms of a user's pages in the admin: the account, topping up a quota, disabling, and confirming an erasure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.forms import UserChangeForm
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts import erasure, suspension
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


class ReasonForm(forms.Form):
    """Asks why. The answer is in the audit log."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, widget=UnfoldAdminTextInputWidget,
        help_text=_("For the audit log. The user does not see it."),
    )  # fmt: skip


class SuspendForm(forms.Form):
    """For how long an account can read but not write, and why."""

    hours = forms.TypedChoiceField(
        label=_("For how long"), coerce=int, initial=24, widget=UnfoldAdminSelectWidget,
        choices=[
            (1, _("1 hour")), (24, _("1 day")), (72, _("3 days")), (168, _("7 days")), (720, _("30 days")),
            (2160, _("90 days")),
        ],
        help_text=_("Then the suspension ends by itself. You can lift it earlier."),
    )  # fmt: skip
    reason = forms.CharField(
        label=_("Reason"), max_length=suspension.MOST_REASON, widget=UnfoldAdminTextInputWidget,
        help_text=_("For the audit log. The user sees it, too."),
    )  # fmt: skip

    def until(self) -> datetime:
        """When the suspension ends."""
        return timezone.now() + timedelta(hours=self.cleaned_data["hours"])


class EraseForm(ReasonForm):
    """Asks for the user's email address as confirmation, too."""

    field_order = ("email", "reason")
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


# A change of these needs a proof of who the member of staff is, and a reason.
RIGHTS: Final = frozenset({"is_staff", "is_superuser", "groups", "user_permissions"})


class UserForm(UserChangeForm):  # type: ignore[misc]  # unfold ships no types
    """Refuses a change that would leave the site without an administrator, and one of rights without a reason."""

    reason = forms.CharField(
        label=_("Reason"), max_length=500, required=False, widget=UnfoldAdminTextInputWidget,
        help_text=_("Why the permissions are changed, for the audit log."),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if RIGHTS & set(self.changed_data) and not cleaned.get("reason"):
            self.add_error("reason", gettext("Enter why the permissions are changed."))
        if "is_superuser" in self.changed_data and not cleaned.get("is_superuser"):
            try:
                with transaction.atomic():
                    erasure.guard_last_administrator(self.instance)
            except erasure.LastAdministratorError as error:
                raise ValidationError({"is_superuser": str(error)}) from None
        return cleaned
