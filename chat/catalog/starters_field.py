"""The form field of a preset's starters, for its owner's page and for the admin."""

from __future__ import annotations

from typing import Any

from django import forms

from chat.models.presets import check_starters


class StartersField(forms.CharField):
    """A list of short texts, one a line; empty lines are left out."""

    widget = forms.Textarea

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in (value or "").splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        check_starters(value)

    def run_validators(self, value: Any) -> None:
        for line in value:
            super().run_validators(line)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((initial or []) != self.to_python(data))
