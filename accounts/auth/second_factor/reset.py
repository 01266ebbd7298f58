"""Second factors as stored: taking one away that is lost, forgetting browsers, encrypting with a new key."""

from __future__ import annotations

import secrets

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.utils import timezone

from accounts.auth.revocation import end_all_sessions
from accounts.lib.encryption import UnreadableError, reencrypt
from accounts.models import User


def reset_second_factor(user: User) -> int:
    """Deletes authenticator app, passkeys and recovery codes and ends all sessions. Remembered browsers are forgotten.

    Where the site demands a factor, the user sets up another at the next log-in, without days of grace. Returns how
    many were deleted; with 0 nothing else has happened.
    """
    with transaction.atomic():
        found = Authenticator.objects.select_for_update().filter(user=user)
        count = len(found)
        if not count:
            return 0
        Authenticator.objects.filter(user=user).delete()
        User.objects.filter(pk=user.pk).update(second_factor_due=timezone.now())
        end_all_sessions(user)
    return count


def forget_browsers(user: User) -> int:
    """Makes every remembered browser ask for the second factor again. Returns 0 where the user has none.

    allauth remembers a browser by a fingerprint of the user's authenticators, which includes a `seed` where there is
    one; a new seed changes it.
    """
    with transaction.atomic():
        factor = Authenticator.objects.select_for_update().filter(user=user).exclude(
            type=Authenticator.Type.RECOVERY_CODES
        ).order_by("pk").first()  # fmt: skip
        if factor is None:
            return 0
        factor.data["seed"] = secrets.token_hex(16)
        factor.save(update_fields=["data"])
    return 1


def reencrypt_factors() -> tuple[int, set[str]]:
    """Encrypts the secrets of all factors with the first key. Returns how many, and whose could not be decrypted.

    To be called in a transaction.
    """
    count, unreadable = 0, set()
    for row in Authenticator.objects.select_for_update(of=("self",)).select_related("user").order_by("pk"):
        name = {"totp": "secret", "recovery_codes": "seed"}.get(row.type)
        if name is None:
            continue  # of a passkey there is a public key only
        try:
            row.data[name] = reencrypt(row.data[name])
        except UnreadableError:
            unreadable.add(row.user.email)
            continue
        row.save(update_fields=["data"])
        count += 1
    return count, unreadable
