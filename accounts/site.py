"""What staff have set for the whole site, as every page needs it: read once in each process, again after a change.

A key in Redis names the version. A process asks for it at most every `FRESH_SECONDS`, and reads the row only when the
version is another one. Without Redis or PostgreSQL the site is as it was read last, else as it comes.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

import redis
import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from accounts.lib import colours
from accounts.lib.outage import OUTAGE
from accounts.lib.redis import sync_redis
from accounts.lib.texts import gettext_noop
from accounts.models import SiteSettings
from accounts.models.site import BannerKind

FRESH_SECONDS: Final = 1.0
VERSION_KEY: Final = "site:version"
MAINTENANCE: Final = gettext_noop("This site is under maintenance. You can read, but not write, until it is finished.")

# The papers that accents are read on (chat/static/chat/css/tokens.css), in the light and in the dark theme.
LIGHT: Final = [colours.parse_colour(one) for one in ("#fdfcf9", "#f6f4ee", "#ffffff", "#edeae1")]
DARK: Final = [colours.parse_colour(one) for one in ("#1a1917", "#141311", "#23211e", "#2a2824")]
_WHITE: Final = (1.0, 1.0, 1.0)
_BLACK: Final = (0.0, 0.0, 0.0)

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Site:
    """`logo`: its address, empty without one. `style`: declarations of CSS for `:root`. `banner_id` is another one for
    another banner. `terms`: the version to accept, 0 where there is nothing to accept. `links`: (title, address).
    `off`: the features that are switched off (`accounts.features`).
    """

    name: str
    logo: str = ""
    style: str = ""
    banner: str = ""
    banner_kind: str = ""
    banner_id: str = ""
    maintenance: bool = False
    maintenance_text: str = ""
    welcome: str = ""
    starters: tuple[str, ...] = ()
    terms: int = 0
    links: tuple[tuple[str, str], ...] = ()
    off: frozenset[str] = frozenset()

    @property
    def announcement(self) -> str:
        """What stands above all pages, in the active language; during maintenance that. Empty: nothing."""
        return self.maintenance_message if self.maintenance else self.banner

    @property
    def maintenance_message(self) -> str:
        """What whoever may not write is told during maintenance."""
        return self.maintenance_text or gettext(MAINTENANCE)


@dataclass(frozen=True, slots=True)
class _Known:
    site: Site
    version: bytes | None
    asked_at: float


_known: _Known | None = None


def site() -> Site:
    """The settings in force; in other processes than that of the change `FRESH_SECONDS` later."""
    global _known
    now = time.monotonic()
    if _known is not None and now - _known.asked_at < FRESH_SECONDS:
        return _known.site
    try:
        version = _version()
    except redis.RedisError:
        version = _known.version if _known else None
    if _known is None or _known.version != version:
        try:
            _known = _Known(_read(), version, now)
        except OUTAGE as error:
            logger.warning("site_settings_not_read", error=type(error).__name__)
            return _known.site if _known else Site(settings.SITE_NAME)
    else:
        _known = _Known(_known.site, version, now)
    return _known.site


def _version() -> bytes | None:
    found = sync_redis().get(VERSION_KEY)
    return found if isinstance(found, bytes) else None


def branding(request: HttpRequest) -> dict[str, Any]:
    """For all templates: the settings as `branding`, and as `view_as` whose pages a member of staff views, if so."""
    return {"branding": site(), "view_as": getattr(request, "view_as", None)}


@receiver((post_save, post_delete), sender=SiteSettings)
def announce_change(sender: type[SiteSettings], **_: Any) -> None:
    """Every process reads the row again."""

    def announce() -> None:
        global _known
        _known = None
        try:
            sync_redis().set(VERSION_KEY, uuid.uuid4().hex)
        except redis.RedisError as error:
            logger.warning("site_settings_not_announced", error=type(error).__name__)

    transaction.on_commit(announce)


def _read() -> Site:
    row = SiteSettings.objects.filter(pk=1).first()
    if row is None:
        return Site(settings.SITE_NAME)
    return Site(
        name=row.name or settings.SITE_NAME,
        logo=reverse("site_logo", args=[logo_hash(bytes(row.logo))]) if row.logo else "",
        style=accent_style(row.accent, row.accent_dark),
        banner=row.banner,
        banner_kind=BannerKind.WARNING if row.maintenance else row.banner_kind,
        banner_id=_banner_id(row),
        maintenance=row.maintenance,
        maintenance_text=row.maintenance_text,
        welcome=row.welcome,
        starters=tuple(row.starters),
        terms=row.terms_version if row.terms.strip() else 0,
        links=tuple((title, address) for title, address in row.legal_links),
        off=frozenset(row.off),
    )


def _banner_id(row: SiteSettings) -> str:
    """Another one for another announcement, and each time that maintenance begins or changes: who has hidden the one
    before sees it again.
    """
    text = f"{row.changed_at} {row.maintenance_text}" if row.maintenance else f"{row.banner_kind} {row.banner}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def logo_hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def accent_style(light: str, dark: str) -> str:
    """The accent's declarations. Without a colour for the dark theme it is the light one, brighter until it can be
    read. Empty without a colour.
    """
    if not light:
        return ""
    one = colours.parse_colour(light)
    other = colours.parse_colour(dark) if dark else dark_accent(one)
    pairs = {
        "accent": (one, other),
        "accent-strong": (colours.mix(one, _BLACK, 0.22), colours.mix(other, _WHITE, 0.3)),
        "on-accent": (on_accent(one), on_accent(other)),
        "accent-wash": (colours.mix(LIGHT[0], one, 0.09), colours.mix(DARK[0], other, 0.12)),
    }
    return "".join(
        f"--{name}:light-dark({colours.write_colour(a)},{colours.write_colour(b)});" for name, (a, b) in pairs.items()
    )


def dark_accent(light: colours.RGB) -> colours.RGB:
    """The accent of the dark theme that belongs to one of the light theme."""
    return colours.readable(light, DARK, _WHITE)


def on_accent(accent: colours.RGB) -> colours.RGB:
    """What is read on the accent: white, or nearly black."""
    ink = colours.parse_colour("#171c33")
    return max((_WHITE, ink), key=lambda one: colours.contrast(one, accent))
