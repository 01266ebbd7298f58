"""Ends sessions when users change, wherever the change is made: a page, the admin, a command or a shell."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db.models.signals import pre_delete
from django.dispatch import receiver
from django.http import HttpRequest

from accounts.auth import revocation, sessions
from accounts.auth.adapter import client_ip
from accounts.auth.counters import logins
from accounts.models import User
from accounts.models.users import users_changed


@receiver(user_logged_in)
def record_login(sender: type[User], request: HttpRequest, user: User, **kwargs: Any) -> None:
    logins["ok"] += 1
    revocation.unblock_user(user.pk)
    sessions.record_client(request, client_ip(request))


@receiver(user_login_failed)
def count_failure(sender: object, **kwargs: Any) -> None:
    logins["failed"] += 1


@receiver(users_changed, sender=User)
def end_sessions_of_changed(sender: type[User], users: list[User], inactive: set[uuid.UUID], **kwargs: Any) -> None:
    """Ends every session of users with a new password or an inactive account.

    The page that changes one's own password opens a new session afterwards.
    """
    for user in users:
        revocation.end_all_sessions(user, blocked=user.pk in inactive)


@receiver(pre_delete, sender=User)
def end_sessions_of_deleted(sender: type[User], instance: User, **kwargs: Any) -> None:
    """Ends the sessions before their rows are deleted with the user."""
    revocation.end_all_sessions(instance, blocked=True)
