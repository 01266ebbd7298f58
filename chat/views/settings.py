"""The sections of the settings that belong to conversations: models, voice, keys."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from accounts.auth.requests import user_of
from accounts.features import api_is_on
from accounts.settings_sections import Section, add_settings_pages, register_settings_section
from chat.views.decorators import for_members
from chat.voice.choices import choices_of, save_choices


def register_sections() -> None:
    """Adds this app's sections to the settings."""
    for section in (
        Section(
            "models", gettext_lazy("Models"), "chat:settings_models",
            (
                "chat:presets", "chat:preset_new", "chat:preset", "chat:preset_delete", "chat:prompts",
                "chat:prompt_new", "chat:prompt", "chat:prompt_delete", "chat:prompts_import",
                "chat:tool_approvals",
            ),
        ),
        Section("files", gettext_lazy("Files"), "chat:settings_files"),
        Section(
            "knowledge", gettext_lazy("Knowledge"), "chat:collections",
            ("chat:collection", "chat:collection_new", "chat:collection_edit", "chat:collection_delete"),
        ),
        Section("voice", gettext_lazy("Voice"), "chat:settings_voice", ("chat:recordings",)),
        Section("notifications", gettext_lazy("Notifications"), "chat:notifications"),
        Section(
            "data", gettext_lazy("Data"), "chat:settings_data",
            ("chat:import", "chat:trash", "chat:trash_delete", "chat:own_links"),
        ),
        Section(
            "keys", gettext_lazy("Keys"), "chat:settings_keys",
            (
                "chat:connections", "chat:connection_new", "chat:connection_edit", "chat:connection_delete",
                "chat:connection_connect", "account_api_tokens", "account_api_token_new",
                "chat:webhooks", "chat:webhook_new", "chat:webhook_secret",
            ),
        ),
    ):  # fmt: skip
        register_settings_section(section)
    add_settings_pages("general", "chat:instructions")
    add_settings_pages("account", "chat:usage", "chat:cases")


@require_safe
@for_members
def show_models(request: HttpRequest) -> HttpResponse:
    """Presets, prompts and allowed tools."""
    return render(request, "chat/settings/models.html")


@require_safe
@for_members
def show_voice(request: HttpRequest) -> HttpResponse:
    """Voice input, reading aloud, and recordings. What holds on all devices is kept with the account, the rest in the
    browser.
    """
    return render(request, "chat/settings/voice.html", {"kept": choices_of(user_of(request))})


@require_POST
@for_members
def choose_voice(request: HttpRequest) -> HttpResponse:
    """Keeps what is chosen for all devices: the names of the fields are those of `chat.voice.choices`."""
    chosen = {name: str(value) for name, value in request.POST.items() if name != "csrfmiddlewaretoken"}
    if not save_choices(user_of(request), chosen):
        return JsonResponse(
            {"code": "invalid", "message": _("This cannot be chosen any more. Reload the page.")}, status=400
        )
    return JsonResponse({})


@require_safe
@for_members
def show_keys(request: HttpRequest) -> HttpResponse:
    """Connections to tool servers, API tokens, webhooks, and the keyboard."""
    return render(request, "chat/settings/keys.html", {"api": api_is_on(), "webhooks": settings.USER_WEBHOOKS})
