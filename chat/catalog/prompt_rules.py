"""What the forms of a prompt check: users' own and staff's."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from chat.catalog.prompts import check_variables, clean_name
from chat.protocol.errors import Invalid


class PromptRules:
    """For a form with the fields `name` and `text` of a prompt."""

    cleaned_data: dict[str, Any]

    def clean_name(self) -> str:
        return clean_name(self.cleaned_data["name"])

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        try:
            check_variables(text)
        except Invalid as error:
            raise ValidationError(error.message) from None
        return text
