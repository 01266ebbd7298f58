"""Encrypts notifications and hands them to browsers' push services, as one client of this process."""

from __future__ import annotations

import asyncio
import functools
import re
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import httpx2
import structlog
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from accounts.lib.db import in_db
from chat.models import PushSubscription
from chat.notifications.keys import decode, may_send_to
from chat.telemetry import metrics
from workers.providers.address_policy import ENDPOINTS
from workers.providers.guarded import guard_client
from workers.push.contents import Notification

if TYPE_CHECKING:
    from webpush import WebPush

TTL_SECONDS: Final = 24 * 3600  # how long a push service keeps a notification for a browser that is off
TOKEN_SECONDS: Final = 12 * 3600
TIMEOUT_SECONDS: Final = 10.0
AT_ONCE: Final = 20  # requests of one process
MOST_FAILURES: Final = 10  # one after another; then the device is forgotten
GONE: Final = (404, 410)
LONGEST_WAIT: Final = timedelta(days=1)  # that a push service may ask for
_MAILTO: Final = re.compile(r"[^@\s]+@[^@\s]+\Z")

logger = structlog.get_logger(__name__)


class PushSender:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(AT_ONCE)
        # No redirects: an allowed push service must not lead to a host that is not.
        client = httpx2.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=True)
        self._client = guard_client(client, ENDPOINTS)  # PUSH_HOSTS may name a service in a private network

    async def aclose(self) -> None:
        await self._client.aclose()

    async def send(self, notification: Notification) -> None:
        """Sends one notification and notes the result. Raises one of `OUTAGE` if that cannot be noted."""
        device = notification.device
        if not may_send_to(device.endpoint):  # PUSH_HOSTS has changed since
            await in_db(device.delete)
            metrics.pushes["gone"] += 1
            return
        async with self._slots:
            result, retry_at = await self._post(notification)
        metrics.pushes[result] += 1
        await in_db(note_result, device, result, retry_at)

    async def _post(self, notification: Notification) -> tuple[str, datetime | None]:
        device = notification.device
        try:
            body, headers = await asyncio.to_thread(encrypt, device, notification.payload)
            answer = await self._client.post(device.endpoint, content=body, headers=headers)
        except (httpx2.HTTPError, ValueError) as error:
            logger.warning("push_failed", host=device.host, error=type(error).__name__)
            return "failed", None
        if answer.is_success:
            return "sent", None
        if answer.status_code in GONE:
            return "gone", None
        logger.warning("push_failed", host=device.host, status=answer.status_code)
        return "failed", _retry_at(answer.headers.get("retry-after", ""))


def encrypt(device: PushSubscription, payload: bytes) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of the request. Raises `ValueError` for keys that fit no curve."""
    from webpush import WebPushSubscription
    from webpush.types import WebPushKeys

    keys = WebPushKeys(p256dh=device.p256dh, auth=device.auth)
    # pydantic reads the endpoint from text.
    subscription = WebPushSubscription.model_validate({"endpoint": device.endpoint, "keys": keys})
    message = _signer(settings.VAPID_PRIVATE_KEY, contact()).get(payload, subscription)
    return message.encrypted, {**message.headers, "content-type": "application/octet-stream", "urgency": "normal"}


def contact() -> str:
    """The address at which a push service can reach the operator."""
    found = settings.VAPID_CONTACT or parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    return found if _MAILTO.fullmatch(found) else "noreply@localhost"


@functools.lru_cache(maxsize=2)
def _signer(private_key: str, subscriber: str) -> WebPush:
    # Imported here: only a worker that sends needs these packages.
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
    from webpush import WebPush

    key = ec.derive_private_key(int.from_bytes(decode(private_key)), ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return WebPush(private, public, subscriber=subscriber, ttl=TTL_SECONDS, expiration=TOKEN_SECONDS)


def note_result(device: PushSubscription, result: str, retry_at: datetime | None = None) -> None:
    """Writes how it went. A device that is gone, or has failed `MOST_FAILURES` times in a row, is deleted."""
    rows = PushSubscription.objects.filter(pk=device.pk)
    if result == "sent":
        rows.update(sent_at=timezone.now(), failures=0, retry_at=None)
    elif result == "gone":
        rows.delete()
    else:
        rows.update(failures=F("failures") + 1, retry_at=retry_at)
        rows.filter(failures__gte=MOST_FAILURES).delete()


def _retry_at(header: str) -> datetime | None:
    """When `Retry-After` allows the next request (RFC 9110 §10.2.3); None without one."""
    now = timezone.now()
    try:
        wanted = now + timedelta(seconds=int(header)) if header.isdecimal() else parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    wanted = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
    return min(wanted, now + LONGEST_WAIT)
