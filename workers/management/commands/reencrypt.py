"""`manage.py reencrypt`: encrypts stored secrets with the newest of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.lib.encryption import UnreadableError, reencrypt
from chat.models import ToolConnection, ToolServer
from workers.models import Endpoint, EndpointModel

Holder = Endpoint | EndpointModel | ToolServer | ToolConnection
SECRETS: Final = (
    "encrypted_key", "encrypted_headers", "encrypted_client_secret", "encrypted_tokens", "encrypted_client",
    "encrypted_pending",
)  # fmt: skip


class Command(BaseCommand):
    help = (
        "Encrypts the endpoints' API keys and extra headers, and the secrets and log-ins of tool servers, again with"
        " the first of ENCRYPTION_KEYS. After that the older ones can be removed. Keys that cannot be decrypted are not"
        " changed and are listed."
    )

    def handle(self, *_args: object, **_options: Any) -> None:
        """Exits with 1 when there are keys that cannot be decrypted."""
        unreadable: list[str] = []
        count = 0
        with transaction.atomic():
            for row in Endpoint.objects.select_for_update().order_by("name"):
                holders: tuple[Endpoint | EndpointModel, ...] = (row, *row.models.all())
                for secret in holders:
                    changed, readable = _reencrypt(secret)
                    count += changed
                    if not readable and row.name not in unreadable:
                        unreadable.append(row.name)
            for server in ToolServer.objects.select_for_update().order_by("title"):
                log_ins = server.connections.select_for_update().order_by("pk")
                held: tuple[Holder, ...] = (server, *log_ins)
                for holder in held:
                    changed, readable = _reencrypt(holder)
                    count += changed
                    if not readable and server.title not in unreadable:
                        unreadable.append(server.title)
        self.stdout.write(f"{count} {'key' if count == 1 else 'keys'} re-encrypted.")
        if unreadable:
            raise CommandError(
                f"The keys of {', '.join(unreadable)} cannot be decrypted. Add the secret they were encrypted with to"
                " the end of ENCRYPTION_KEYS, or enter the keys again in the admin."
            )


def _reencrypt(row: Holder) -> tuple[int, bool]:
    """Encrypts what a row holds again; how many secrets that was, and whether all of them could be decrypted."""
    names = [name for name in SECRETS if getattr(row, name, "")]
    changed = []
    for name in names:
        try:
            setattr(row, name, reencrypt(getattr(row, name)))
        except UnreadableError:
            continue
        changed.append(name)
    if changed:
        row.save(update_fields=changed)
    return len(changed), len(changed) == len(names)
