"""`manage.py reencrypt`: endpoints' keys under the newest of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.lib.encryption import UnreadableError, encrypt_anew
from workers.models import Endpoint


class Command(BaseCommand):
    help = (
        "Encrypts the endpoints' keys anew with the first of ENCRYPTION_KEYS. Afterwards the older ones can go. Keys"
        " that cannot be read are left alone and named."
    )

    def handle(self, *_args: object, **_options: Any) -> None:
        """Ends with 1 when there are keys that cannot be read."""
        unreadable: list[str] = []
        count = 0
        with transaction.atomic():
            for row in Endpoint.objects.select_for_update().exclude(encrypted_key="").order_by("name"):
                try:
                    row.encrypted_key = encrypt_anew(row.encrypted_key)
                except UnreadableError:
                    unreadable.append(row.name)
                    continue
                row.save(update_fields=["encrypted_key"])
                count += 1
        self.stdout.write(f"{count} keys encrypted anew.")
        if unreadable:
            raise CommandError(
                f"Cannot be read: the keys of {', '.join(unreadable)}. Put the secret they were encrypted with at the"
                " end of ENCRYPTION_KEYS, or enter them again in the admin."
            )
