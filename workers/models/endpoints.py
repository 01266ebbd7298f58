"""Endpoints that are set up in the admin. Those of the environment are not rows (`workers.providers.discovery`).

Web processes read and change the rows; only workers connect to the endpoints (`workers.endpoints`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.lib import encryption
from accounts.lib.ids import uuid7
from accounts.lib.texts import gettext_noop
from workers.providers.config import ClientKind, Extras
from workers.providers.extras import check_body, check_query
from workers.providers.kinds import AUTO, KIND_NAMES, resolve_kind
from workers.providers.url_policy import check_address, endpoint_name

if TYPE_CHECKING:
    from django_stubs_ext import StrPromise

SMALLEST_WINDOW: Final = 256  # tokens
_TOKENS: Final = (MinValueValidator(SMALLEST_WINDOW), MaxValueValidator(1_000_000_000))
_SECONDS: Final = (MinValueValidator(0.1), MaxValueValidator(3600))
_OF_ENDPOINT: Final = _("In seconds. Empty: the endpoint's timeout applies.")


def _of_setting(setting: str) -> StrPromise:
    return format_lazy(_("In seconds. Empty: the setting {setting} applies."), setting=setting)


def _seconds(name: StrPromise, help_text: StrPromise) -> models.FloatField[Any, Any]:
    return models.FloatField(name, null=True, blank=True, validators=_SECONDS, help_text=help_text)


class EndpointKind(models.TextChoices):
    AUTO = AUTO, _("Detected from the address")
    OPENAI_CHAT = "openai_chat", _("OpenAI-compatible chat completions")
    OPENAI_RESPONSES = "openai_responses", KIND_NAMES["openai_responses"]
    AZURE = "azure", KIND_NAMES["azure"]
    ANTHROPIC = "anthropic", KIND_NAMES["anthropic"]
    GEMINI = "gemini", KIND_NAMES["gemini"]
    OLLAMA = "ollama", KIND_NAMES["ollama"]


class Use(models.TextChoices):
    OFFERED = "offered", _("Offered: users may choose its models")
    STANDBY = "standby", _("Fallback: only used while another endpoint is down")
    OFF = "off", _("Off: not used")


class Prefill(models.TextChoices):
    """How an endpoint is asked to go on with an answer that was cut (`workers.providers.http.continuing`)."""

    AUTO = "", _("Automatic, by address")
    INSTRUCT = "instruct", _("Instruction: works everywhere")
    ASSISTANT = "assistant", _("Prefilled assistant message (Ollama, llama.cpp, OpenRouter)")
    VLLM = "vllm", _("continue_final_message (vLLM, SGLang)")
    PREFIX = "prefix", _("Message with prefix (Mistral, DeepSeek)")


class ExtrasModel(models.Model):
    """What is added to every request. Headers may hold secrets: they are stored encrypted and only named in pages."""

    encrypted_headers = models.TextField(blank=True, default="", db_default="", editable=False)
    header_names = models.JSONField(default=list, db_default=models.Value([], models.JSONField()), editable=False)
    extra_query = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField()), blank=True,
        help_text=_('A JSON object, for example {"api-version": "2024-10-21"}.'),
    )  # fmt: skip
    extra_body = models.JSONField(
        default=dict, db_default=models.Value({}, models.JSONField()), blank=True,
        help_text=_('A JSON object of fields added to every request, for example {"options": {"num_ctx": 16384}}.'),
    )  # fmt: skip

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        for name, check in (("extra_query", check_query), ("extra_body", check_body)):
            try:
                setattr(self, name, check(getattr(self, name) or {}))
            except ValueError as error:
                raise ValidationError({name: str(error)}) from None

    def set_headers(self, headers: Mapping[str, str]) -> None:
        """Replaces the extra headers."""
        self.encrypted_headers = encryption.encrypt(json.dumps(dict(headers))) if headers else ""
        self.header_names = sorted(headers)

    def read_extras(self) -> Extras:
        """What is added. Raises `encryption.UnreadableError`. Only to be called to connect to the endpoint."""
        stored = encryption.decrypt(self.encrypted_headers) if self.encrypted_headers else "{}"
        return Extras(json.loads(stored), self.extra_query, self.extra_body)


class Endpoint(ExtrasModel):
    """A configured model API. Its API key is stored encrypted, and only workers decrypt it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(
        _("API"), max_length=16, choices=EndpointKind.choices, default=EndpointKind.AUTO,
        help_text=_("Detected from the address: Anthropic, Gemini, Azure and Ollama by host or port, otherwise"
        " OpenAI-compatible."),
    )  # fmt: skip
    base_url = models.CharField(
        _("address"), max_length=500, help_text=_("For example https://api.openai.com/v1. It often ends in /v1.")
    )
    encrypted_key = models.TextField(blank=True, editable=False)
    key_set_at = models.DateTimeField(null=True, blank=True, editable=False)
    use = models.CharField(max_length=8, choices=Use.choices, default=Use.OFFERED)
    position = models.PositiveIntegerField(
        default=10,
        help_text=_("Lowest first. If two endpoints offer the same model, the one with the lower position serves it."),
    )
    fallback = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text=_("The endpoint to use while this one is down."),
    )  # fmt: skip
    fallback_model = models.CharField(
        max_length=200, blank=True, help_text=_("The model to use there. Empty: the model that the user chose.")
    )
    shown_models = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        editable=False,
        help_text=_("Names of listed models that are offered although they look hidden."),
    )
    hidden_models = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        editable=False,
        help_text=_("Names of listed models not to offer."),
    )
    model_windows = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        editable=False,
        help_text=_("Context windows in tokens that staff set, by the name of a listed model."),
    )
    prefill = models.CharField(
        _("continuation of truncated answers"), max_length=12, blank=True, default="", db_default="",
        choices=Prefill.choices,
        help_text=_("How to request the rest of a truncated answer. If the model refuses, an instruction is used."),
    )  # fmt: skip
    connect_timeout = _seconds(_("connect timeout"), _of_setting("MODEL_CONNECT_TIMEOUT"))
    first_chunk_timeout = _seconds(_("first-token timeout"), _of_setting("MODEL_FIRST_CHUNK_TIMEOUT"))
    idle_timeout = _seconds(_("idle timeout"), _of_setting("MODEL_IDLE_TIMEOUT"))
    total_timeout = _seconds(_("total timeout"), _of_setting("MODEL_TOTAL_TIMEOUT"))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_passed = models.BooleanField(null=True, editable=False)
    test_said = models.TextField(blank=True, editable=False)

    class Meta:
        permissions = (("test_endpoint", gettext_noop("Can test an endpoint's connection")),)
        constraints = (
            models.CheckConstraint(condition=Q(use__in=Use.values), name="endpoint_use_known"),
            models.CheckConstraint(condition=Q(kind__in=EndpointKind.values), name="endpoint_kind_known"),
            models.CheckConstraint(condition=~Q(fallback=models.F("id")), name="endpoint_not_own_fallback"),
            models.CheckConstraint(
                condition=Q(encrypted_key="", key_set_at=None) | ~Q(encrypted_key="") & Q(key_set_at__isnull=False),
                name="endpoint_key_has_date",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def api(self) -> ClientKind:
        """The kind of the API, also where it is found from the address."""
        return resolve_kind(self.kind, self.base_url)

    @property
    def host(self) -> str:
        """The host name, with a port other than the scheme's, as prices and the usage ledger use it."""
        return endpoint_name(self.base_url)

    def clean(self) -> None:
        super().clean()
        try:
            self.base_url = check_address(self.base_url)
        except ValueError as error:
            raise ValidationError({"base_url": str(error)}) from None
        if self.fallback_id is not None:
            assert self.fallback is not None
            if self.fallback_id == self.pk:
                raise ValidationError({"fallback": gettext("An endpoint cannot be its own fallback.")})
            if self.fallback.use == Use.OFF:
                raise ValidationError({"fallback": gettext("That endpoint is off. Change its use first.")})
        elif self.fallback_model:
            raise ValidationError({"fallback_model": gettext("Choose a fallback endpoint first.")})

    def set_key(self, key: str) -> None:
        """Sets a new API key; an empty one means that the endpoint requires none."""
        self.encrypted_key = encryption.encrypt(key) if key else ""
        self.key_set_at = timezone.now() if key else None

    def show_model(self, name: str, *, shown: bool) -> None:
        """Decides whether a listed model is offered, whatever its endpoint or its name says. Does not save."""
        self.shown_models = sorted({*self.shown_models, name} if shown else {*self.shown_models} - {name})
        self.hidden_models = sorted({*self.hidden_models} - {name} if shown else {*self.hidden_models, name})

    def set_window(self, name: str, tokens: int | None) -> None:
        """Sets the context window of a listed model; None: what its endpoint says counts again. Does not save."""
        windows = {known: window for known, window in self.model_windows.items() if known != name}
        self.model_windows = windows if tokens is None else {**windows, name: tokens}

    def read_key(self) -> str:
        """The API key, or empty. Raises `encryption.UnreadableError`. Only to be called to connect to the endpoint."""
        return encryption.decrypt(self.encrypted_key) if self.encrypted_key else ""


class EndpointModel(ExtrasModel):
    """A model of an endpoint, as named by staff. An endpoint without any offers the models that it lists."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="models")
    name = models.CharField(_("model"), max_length=200, help_text=_("The name that the endpoint uses."))
    label = models.CharField(max_length=200, blank=True, help_text=_("The name that users see. Empty: the same."))
    window = models.PositiveIntegerField(
        _("context window"), null=True, blank=True, validators=_TOKENS,
        help_text=_("In tokens. Empty: as listed by the endpoint, or as learnt from its responses."),
    )  # fmt: skip
    first_chunk_timeout = _seconds(_("first-token timeout"), _OF_ENDPOINT)
    idle_timeout = _seconds(_("idle timeout"), _OF_ENDPOINT)
    total_timeout = _seconds(_("total timeout"), _OF_ENDPOINT)
    position = models.PositiveIntegerField(default=10)

    class Meta:
        verbose_name = _("model")
        ordering = ("position", "id")
        constraints: ClassVar = (models.UniqueConstraint(fields=["endpoint", "name"], name="endpoint_model_once"),)

    def __str__(self) -> str:
        return self.label or self.name


class ModelFact(models.Model):
    """What workers have learnt about a model of an endpoint: its context window, how its tokens compare with the
    estimate (`workers.providers.counting`), and what it does not accept. `endpoint` is the name that the ledger uses.
    """

    endpoint = models.CharField(max_length=200)
    model = models.CharField(max_length=200)
    window = models.PositiveIntegerField(null=True, help_text=_("In tokens, taken from the endpoint's error message."))
    window_at = models.DateTimeField(null=True)
    ratios = models.JSONField(
        default=dict, help_text=_("By kind of text: actual divided by estimated tokens of recent answers.")
    )
    measured_at = models.DateTimeField(null=True)
    refused = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        help_text=_("What the model does not accept, and when it rejected it."),
    )

    class Meta:
        default_permissions = ()
        constraints: ClassVar = (models.UniqueConstraint(fields=["endpoint", "model"], name="model_fact_once"),)

    def __str__(self) -> str:
        return f"{self.model} at {self.endpoint}"
