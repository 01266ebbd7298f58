"""`manage.py reencrypt`: encrypts the endpoints' keys and headers with the newest of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.lib.encryption import UnreadableError, reencrypt
from workers.models import Endpoint, EndpointModel


class Command(BaseCommand):
    help = (
        "Encrypts the endpoints' API keys and extra headers again with the first of ENCRYPTION_KEYS. After that the"
        " older ones can be removed. Keys that cannot be decrypted are not changed and are listed."
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
        self.stdout.write(f"{count} {'key' if count == 1 else 'keys'} re-encrypted.")
        if unreadable:
            raise CommandError(
                f"The keys of {', '.join(unreadable)} cannot be decrypted. Add the secret they were encrypted with to"
                " the end of ENCRYPTION_KEYS, or enter the keys again in the admin."
            )


def _reencrypt(row: Endpoint | EndpointModel) -> tuple[int, bool]:
    """Encrypts what a row holds again; how many secrets that was, and whether all of them could be decrypted."""
    names = [name for name in ("encrypted_key", "encrypted_headers") if getattr(row, name, "")]
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
