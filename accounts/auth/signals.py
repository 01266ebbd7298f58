"""What must end sessions, caught where it happens whoever does it: a page, the admin, a command, a shell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db.models.signals import post_save, pre_delete
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.auth import revocation, sessions
from accounts.auth.adapter import client_ip
from accounts.auth.counters import logins
from accounts.models import User


@receiver(user_logged_in)
def remember_login(sender: type[User], request: HttpRequest, user: User, **kwargs: Any) -> None:
    logins["ok"] += 1
    revocation.lift_bar(user.pk)
    sessions.note_client(request, client_ip(request))


@receiver(user_login_failed)
def count_failure(sender: object, **kwargs: Any) -> None:
    logins["failed"] += 1


@receiver(post_save, sender=User)
def end_sessions_of_changed(
    sender: type[User], instance: User, created: bool, update_fields: Iterable[str] | None, **kwargs: Any
) -> None:
    """A new password or a closed account ends every session. The page that changes the password opens a new one.

    Any new hash counts, as for `django.contrib.auth`, to which sessions opened with the old one are void.
    """
    fields = {"is_active", "password"} if update_fields is None else set(update_fields)
    barred = "is_active" in fields and not instance.is_active
    renewed = "password" in fields and instance.password != instance.saved_password
    if "password" in fields:
        instance.saved_password = instance.password
    if not created and (barred or renewed):
        revocation.end_all_sessions(instance, barred=barred)


@receiver(pre_delete, sender=User)
def end_sessions_of_deleted(sender: type[User], instance: User, **kwargs: Any) -> None:
    """Before the rows go with their user, their sockets' names are taken down."""
    revocation.end_all_sessions(instance, barred=True)
