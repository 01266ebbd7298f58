"""`manage.py reencrypt`: encrypts the endpoints' keys with the newest of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.lib.encryption import UnreadableError, reencrypt
from workers.models import Endpoint


class Command(BaseCommand):
    help = (
        "Encrypts the endpoints' API keys again with the first of ENCRYPTION_KEYS. After that the older ones can be"
        " removed. Keys that cannot be decrypted are not changed and are listed."
    )

    def handle(self, *_args: object, **_options: Any) -> None:
        """Exits with 1 when there are keys that cannot be decrypted."""
        unreadable: list[str] = []
        count = 0
        with transaction.atomic():
            for row in Endpoint.objects.select_for_update().exclude(encrypted_key="").order_by("name"):
                try:
                    row.encrypted_key = reencrypt(row.encrypted_key)
                except UnreadableError:
                    unreadable.append(row.name)
                    continue
                row.save(update_fields=["encrypted_key"])
                count += 1
        self.stdout.write(f"{count} {'key' if count == 1 else 'keys'} re-encrypted.")
        if unreadable:
            raise CommandError(
                f"The keys of {', '.join(unreadable)} cannot be decrypted. Add the secret they were encrypted with to"
                " the end of ENCRYPTION_KEYS, or enter the keys again in the admin."
            )
