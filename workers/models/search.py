"""Services that search the web, as they are set up in the admin. Only workers ask them (`workers.tools.search`)."""

from __future__ import annotations

from typing import ClassVar, Final

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
from accounts.models.fields import RANGE, amount_field
from chat.catalog.tools import SEARCH_WEB
from chat.models import KnownTool
from workers.providers.url_policy import check_address

MOST_RESULTS: Final = 20
_DEFAULT_ADDRESSES: Final = {
    "brave": "https://api.search.brave.com/res/v1/web/search",
    "tavily": "https://api.tavily.com/search",
}


class SearchKind(models.TextChoices):
    SEARXNG = "searxng", _("SearXNG – a server of your own")
    BRAVE = "brave", _("Brave Search API")
    TAVILY = "tavily", _("Tavily")


class SearchProvider(models.Model):
    """A service that searches the web. The enabled one with the lowest position is asked, the others while it fails.

    Its key is stored encrypted, and only workers decrypt it.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=80, unique=True)
    enabled = models.BooleanField(default=True, help_text=_("Without an enabled provider, web search is unavailable."))
    kind = models.CharField(max_length=8, choices=SearchKind.choices, default=SearchKind.SEARXNG)
    address = models.CharField(
        max_length=500, blank=True,
        help_text=_("For SearXNG, for example http://searxng:8080; its settings must allow the json format. "
        "For other services, leave empty to use their own address."),
    )  # fmt: skip
    encrypted_key = models.TextField(blank=True, editable=False)
    key_set_at = models.DateTimeField(null=True, blank=True, editable=False)
    results = models.PositiveSmallIntegerField(
        default=8, validators=(MinValueValidator(1), MaxValueValidator(MOST_RESULTS)),
        help_text=format_lazy(_("How many results of a search the model gets, up to {most}."), most=MOST_RESULTS),
    )  # fmt: skip
    price = amount_field(
        _("price per search"),
        default=0,
        validators=RANGE,
        help_text=_("In US dollars. Added to the usage ledger."),
    )
    position = models.PositiveIntegerField(default=10, help_text=_("Lowest first."))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    tested_at = models.DateTimeField(null=True, blank=True, editable=False)
    test_passed = models.BooleanField(null=True, editable=False)
    test_said = models.TextField(blank=True, editable=False)

    class Meta:
        permissions = (("test_searchprovider", gettext_noop("Can test a search provider")),)
        constraints: ClassVar = (
            models.CheckConstraint(condition=Q(kind__in=SearchKind.values), name="search_kind_known"),
            models.CheckConstraint(
                condition=Q(encrypted_key="", key_set_at=None) | ~Q(encrypted_key="") & Q(key_set_at__isnull=False),
                name="search_key_has_date",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        if not self.address and self.kind == SearchKind.SEARXNG:
            raise ValidationError({"address": gettext("Enter the address of the SearXNG server.")})
        if self.address:
            try:
                self.address = check_address(self.address)
            except ValueError as error:
                raise ValidationError({"address": str(error)}) from None

    @property
    def url(self) -> str:
        """Where searches are sent."""
        if self.kind == SearchKind.SEARXNG:
            return self.address.rstrip("/").removesuffix("/search") + "/search"
        return self.address or _DEFAULT_ADDRESSES[self.kind]

    def set_key(self, key: str) -> None:
        """Sets a new API key; an empty one means that none is sent."""
        self.encrypted_key = encryption.encrypt(key) if key else ""
        self.key_set_at = timezone.now() if key else None

    def read_key(self) -> str:
        """The API key, or empty. Raises `encryption.UnreadableError`. Only to be called to search."""
        return encryption.decrypt(self.encrypted_key) if self.encrypted_key else ""


def search_is_set_up() -> bool:
    """Whether there is a provider that may be asked."""
    return SearchProvider.objects.filter(enabled=True).exists()


def note_search_tool() -> None:
    """Marks the tool that searches the web as there or gone, after a change of providers. Workers do the same
    regularly (`workers.tools.publishing`).
    """
    row = KnownTool.objects.filter(server="", name=SEARCH_WEB)
    row.update(gone_at=None if search_is_set_up() else timezone.now())
