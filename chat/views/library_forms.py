"""The forms of a user's own presets, prompts and collections."""

from __future__ import annotations

import math
import uuid
from collections.abc import Container
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from accounts.models import User
from chat.catalog.access import models_of
from chat.catalog.prompt_rules import PromptRules
from chat.catalog.starters_field import StartersField
from chat.catalog.tool_choice import ToolChoice
from chat.catalog.tools import offered_tools
from chat.files.collections import usable_collections
from chat.models import Collection, Effort, Preset, Prompt
from chat.models.presets import MAX_STARTER, MAX_STARTERS, SHARE
from chat.protocol.limits import MAX_COLLECTIONS


class OwnForm(forms.ModelForm):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """A form of something that `user` owns and may share with their groups.

    Without the permission to share, only groups that it is shared with already are offered, so that they can be taken
    away.
    """

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.instance.owner = user
        groups = Group.objects.filter(user=user).order_by("name")
        if not user.has_perm(SHARE):
            groups = groups.filter(pk__in=self.instance.groups.values_list("pk", flat=True))
        field = self.fields["groups"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = groups
        field.required = False
        field.help_text = ""

    def _get_validation_exclusions(self) -> set[str]:
        """The owner is no field of the form, but names are unique for each owner."""
        return set(super()._get_validation_exclusions()) - {"owner"}  # type: ignore[misc]  # the stubs leave it out


class NamedCollections(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # the parameter exists in the stubs only
    """Those that are `usable` by their names. One that was chosen and is not usable any more stays nameless."""

    usable: Container[uuid.UUID] = ()

    def label_from_instance(self, obj: Any) -> str:
        return str(obj.name) if obj.pk in self.usable else _("A collection that you can’t use any more")


class PresetForm(ToolChoice, OwnForm):
    model = forms.ChoiceField(required=False, label=gettext_lazy("Model"))
    starters = StartersField(required=False, label=gettext_lazy("Starters"), strip=False)

    effort = forms.ChoiceField(
        required=False, label=pgettext_lazy("setting of a model", "Thinking"),
        choices=[("", gettext_lazy("The model’s default")), *Effort.choices],
    )  # fmt: skip

    collections = NamedCollections(
        Collection.objects.none(), required=False, label=gettext_lazy("Knowledge"), widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = Preset
        fields = (
            *("name", "description", "model", "system_prompt", "starters"),
            *("temperature", "max_tokens", "effort", "tools", "collections", "groups", "enabled"),
        )
        widgets: ClassVar = {
            "system_prompt": forms.Textarea(attrs={"rows": 8}),
            "groups": forms.CheckboxSelectMultiple,
        }
        labels: ClassVar = {
            "name": gettext_lazy("Name"),
            "description": gettext_lazy("Description"),
            "temperature": gettext_lazy("Temperature"),
            "system_prompt": gettext_lazy("System prompt"),
            "max_tokens": gettext_lazy("Longest answer (tokens)"),
            "enabled": gettext_lazy("Offer it for new conversations"),
            "groups": gettext_lazy("Share with"),
        }
        help_texts: ClassVar = {
            "description": gettext_lazy("Shown with the name."),
            "system_prompt": gettext_lazy("Sent to the model before the conversation."),
            "temperature": gettext_lazy("0 to 2. Empty: the model’s default."),
            "max_tokens": gettext_lazy("Empty: the model’s limit."),
            "enabled": "",
        }

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        offered = [(one["id"], one["label"]) for one in models_of(user.pk)]
        own = self.instance.model
        if own and own not in dict(offered):
            offered.append((own, _("%(model)s – not available") % {"model": own}))
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("Default model")), *offered]
        self.fields["starters"].widget.attrs["rows"] = 4
        self.fields["starters"].help_text = _(
            "Buttons in an empty conversation, one per line. Up to %(count)d, each up to %(length)d characters."
        ) % {"count": MAX_STARTERS, "length": MAX_STARTER}
        self.fields["temperature"].widget.attrs["step"] = "0.1"
        self.offer_tools(offered_tools(user))
        collections = self.fields["collections"]
        assert isinstance(collections, NamedCollections)
        chosen = Q(presets=self.instance.pk) if self.instance.pk else Q(pk=None)
        collections.usable = set(usable_collections(user.pk).values_list("pk", flat=True))
        collections.queryset = (
            Collection.objects.filter(chosen | Q(pk__in=collections.usable)).distinct().order_by("name")
        )

    def clean_collections(self) -> Any:
        chosen = self.cleaned_data["collections"]
        if len(chosen) > MAX_COLLECTIONS:
            raise ValidationError(_("A preset can have at most %(most)d collections.") % {"most": MAX_COLLECTIONS})
        return chosen

    def clean_temperature(self) -> float | None:
        value: float | None = self.cleaned_data["temperature"]
        if value is not None and not math.isfinite(value):
            raise ValidationError(_("Enter a number."))
        return value


class PromptForm(PromptRules, OwnForm):
    class Meta:
        model = Prompt
        fields = ("name", "title", "text", "groups")
        widgets: ClassVar = {"text": forms.Textarea(attrs={"rows": 10}), "groups": forms.CheckboxSelectMultiple}
        labels: ClassVar = {
            "name": gettext_lazy("Name"), "title": gettext_lazy("Title"), "text": gettext_lazy("Text"),
            "groups": gettext_lazy("Share with"),
        }  # fmt: skip
        help_texts: ClassVar = {
            "name": gettext_lazy("What you type after a slash: letters, digits, hyphens and underscores."),
            "title": gettext_lazy("Shown with the name."),
            "text": gettext_lazy(
                "<code>{{variable}}</code> or <code>{{variable|default}}</code> is asked for when you use it. "
                "<code>{{date}}</code> and <code>{{time}}</code> are filled in."
            ),
        }


class CollectionForm(OwnForm):
    class Meta:
        model = Collection
        fields = ("name", "description", "groups")
        widgets: ClassVar = {"groups": forms.CheckboxSelectMultiple}
        labels: ClassVar = {
            "name": gettext_lazy("Name"), "description": gettext_lazy("Description"),
            "groups": gettext_lazy("Share with"),
        }  # fmt: skip
        help_texts: ClassVar = {"description": gettext_lazy("Shown with the name.")}


class ImportForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("File of prompts (JSON)"),
        widget=forms.ClearableFileInput(attrs={"accept": ".json,application/json"}),
    )
