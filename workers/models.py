"""Endpoints that are set up in the admin. Those of the environment are not rows (`workers.providers.discovery`).

Web processes read and change the rows; only workers connect to the endpoints (`workers.endpoints`).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.lib import encryption
from accounts.lib.ids import uuid7
from workers.providers.url_policy import check_address

_SECONDS: Final = (MinValueValidator(0.1), MaxValueValidator(3600))


def _seconds(name: str, setting: str, otherwise: str = "") -> models.FloatField[Any, Any]:
    otherwise = otherwise or f"Empty: the setting {setting}."
    return models.FloatField(name, null=True, blank=True, validators=_SECONDS, help_text=f"In seconds. {otherwise}")


class EndpointKind(models.TextChoices):
    OPENAI_CHAT = "openai_chat", "OpenAI-compatible chat completions"


class Use(models.TextChoices):
    OFFERED = "offered", "Offered: users may choose its models"
    STANDBY = "standby", "Fallback: only used while another endpoint is down"
    OFF = "off", "Off: not used"


class Prefill(models.TextChoices):
    """How an endpoint is asked to go on with an answer that was cut (`workers.providers.openai.continuing`)."""

    AUTO = "", "By its address"
    INSTRUCT = "instruct", "With an instruction: works everywhere"
    ASSISTANT = "assistant", "It writes on in a last message of the assistant (Ollama, llama.cpp, OpenRouter)"
    VLLM = "vllm", "It writes on with continue_final_message (vLLM, SGLang)"
    PREFIX = "prefix", "It writes on in a message with prefix (Mistral, DeepSeek)"


class Endpoint(models.Model):
    """A configured model API. Its API key is stored encrypted, and only workers decrypt it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=16, choices=EndpointKind.choices, default=EndpointKind.OPENAI_CHAT)
    base_url = models.CharField(
        "address", max_length=500, help_text="For example https://api.openai.com/v1. It often ends in /v1."
    )
    encrypted_key = models.TextField(blank=True, editable=False)
    key_set_at = models.DateTimeField(null=True, blank=True, editable=False)
    use = models.CharField(max_length=8, choices=Use.choices, default=Use.OFFERED)
    position = models.PositiveIntegerField(
        default=10,
        help_text="Lowest first. If two endpoints offer the same model, the one with the lower position serves it.",
    )
    fallback = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="The endpoint to use while this one is down.",
    )  # fmt: skip
    fallback_model = models.CharField(
        max_length=200, blank=True, help_text="The model to use there. Empty: the model that the user chose."
    )
    shown_models = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        editable=False,
        help_text="Names of listed models that are offered although they look hidden.",
    )
    hidden_models = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        editable=False,
        help_text="Names of listed models not to offer.",
    )
    prefill = models.CharField(
        "cut answers", max_length=12, blank=True, default="", db_default="", choices=Prefill.choices,
        help_text="How it is asked to go on with an answer that was cut. A model that refuses is asked by instruction.",
    )  # fmt: skip
    connect_timeout = _seconds("connect timeout", "MODEL_CONNECT_TIMEOUT")
    first_chunk_timeout = _seconds("first-token timeout", "MODEL_FIRST_CHUNK_TIMEOUT")
    idle_timeout = _seconds("idle timeout", "MODEL_IDLE_TIMEOUT")
    total_timeout = _seconds("total timeout", "MODEL_TOTAL_TIMEOUT")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_passed = models.BooleanField(null=True, editable=False)
    test_said = models.TextField(blank=True, editable=False)

    class Meta:
        permissions = (("test_endpoint", "Can test an endpoint's connection"),)
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
    def host(self) -> str:
        """The host name, as prices and the usage ledger use it."""
        return urlsplit(self.base_url).hostname or ""

    def clean(self) -> None:
        super().clean()
        try:
            self.base_url = check_address(self.base_url)
        except ValueError as error:
            raise ValidationError({"base_url": str(error)}) from None
        if self.fallback_id is not None:
            assert self.fallback is not None
            if self.fallback_id == self.pk:
                raise ValidationError({"fallback": "An endpoint cannot be its own fallback."})
            if self.fallback.use == Use.OFF:
                raise ValidationError({"fallback": "That endpoint is off. Change its use first."})
        elif self.fallback_model:
            raise ValidationError({"fallback_model": "Choose a fallback endpoint first."})

    def set_key(self, key: str) -> None:
        """Sets a new API key; an empty one means that the endpoint requires none."""
        self.encrypted_key = encryption.encrypt(key) if key else ""
        self.key_set_at = timezone.now() if key else None

    def show_model(self, name: str, *, shown: bool) -> None:
        """Decides whether a listed model is offered, whatever its endpoint or its name says. Does not save."""
        self.shown_models = sorted({*self.shown_models, name} if shown else {*self.shown_models} - {name})
        self.hidden_models = sorted({*self.hidden_models} - {name} if shown else {*self.hidden_models, name})

    def read_key(self) -> str:
        """The API key, or empty. Raises `encryption.UnreadableError`. Only to be called to connect to the endpoint."""
        return encryption.decrypt(self.encrypted_key) if self.encrypted_key else ""


class EndpointModel(models.Model):
    """A model of an endpoint, as named by staff. An endpoint without any offers the models that it lists."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="models")
    name = models.CharField("model", max_length=200, help_text="The name that the endpoint uses.")
    label = models.CharField(max_length=200, blank=True, help_text="The name that users see. Empty: the same.")
    first_chunk_timeout = _seconds("first-token timeout", "", "Empty: the endpoint's.")
    idle_timeout = _seconds("idle timeout", "", "Empty: the endpoint's.")
    total_timeout = _seconds("total timeout", "", "Empty: the endpoint's.")
    position = models.PositiveIntegerField(default=10)

    class Meta:
        verbose_name = "model"
        ordering = ("position", "id")
        constraints: ClassVar = (models.UniqueConstraint(fields=["endpoint", "name"], name="endpoint_model_once"),)

    def __str__(self) -> str:
        return self.label or self.name
