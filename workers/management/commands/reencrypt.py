"""`manage.py reencrypt`: encrypts stored secrets with the newest of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any, Final

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Model

from accounts.auth.second_factor.reset import reencrypt_factors
from accounts.lib.encryption import UnreadableError, reencrypt
from chat.management.terminal import show_examples

PREFIX: Final = "encrypted_"  # of each field that holds a secret


class Command(BaseCommand):
    help = (
        "Encrypts all stored secrets again with the first of ENCRYPTION_KEYS: keys and extra headers of endpoints, of"
        " their models and of search providers, the secrets and log-ins of tool servers, and users' second factors."
        " After that the older keys can be removed. Secrets that cannot be decrypted are not changed and are listed."
        " Exit code 0, or 1 if there are any."
    )

    def add_arguments(self, parser: Any) -> None:
        show_examples(parser, ("reencrypt", "after a new key was put before the others in ENCRYPTION_KEYS"))

    def handle(self, *_args: object, **_options: Any) -> None:
        """Exits with 1 when there are secrets that cannot be decrypted."""
        unreadable: set[str] = set()
        count = 0
        with transaction.atomic():
            for model, names in models_with_secrets():
                rows = model._default_manager.select_for_update(of=("self",))  # noqa: SLF001 -- Django documents it
                for row in rows.order_by("pk"):
                    changed, readable = _reencrypt(row, names)
                    count += changed
                    if not readable:
                        unreadable.add(str(row))
            changed, owners = reencrypt_factors()
        count += changed
        unreadable |= {f"the second factor of {email}" for email in owners}
        self.stdout.write(f"{count} {'secret' if count == 1 else 'secrets'} re-encrypted.")
        if unreadable:
            raise CommandError(
                f"These cannot be decrypted: {', '.join(sorted(unreadable))}. Add the secret they were encrypted with"
                " to the end of ENCRYPTION_KEYS, or enter the keys again in the admin."
            )


def models_with_secrets() -> list[tuple[type[Model], list[str]]]:
    """The models that have encrypted fields, with the names of these."""
    found = []
    for model in apps.get_models():
        fields = model._meta.concrete_fields  # noqa: SLF001 -- as above
        names = [field.name for field in fields if field.name.startswith(PREFIX)]
        if names:
            found.append((model, names))
    return found


def _reencrypt(row: Model, fields: list[str]) -> tuple[int, bool]:
    """Encrypts what a row holds again; how many secrets that was, and whether all of them could be decrypted."""
    names = [name for name in fields if getattr(row, name)]
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
