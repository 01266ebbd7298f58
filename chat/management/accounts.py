"""What the commands `users` and `invite` do with accounts: each is recorded with the operating-system user."""

from __future__ import annotations

import secrets
from typing import Any

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Max, QuerySet

from accounts import erasure
from accounts.audit import record_command
from accounts.lib.text_search import USERS, with_words
from accounts.models import Plan, User


def find_user(email: str) -> User:
    """The account with an address. Raises `CommandError`."""
    user = User.objects.filter(email__iexact=email).first()
    if user is None:
        raise CommandError("There is no account with this address.")
    return user


def find_plan(name: str) -> Plan:
    plan = Plan.objects.filter(name=name).first()
    if plan is None:
        known = ", ".join(Plan.objects.order_by("name").values_list("name", flat=True)) or "none"
        raise CommandError(f"There is no plan named {name!r}. There are: {known}.")
    return plan


def find_group(name: str) -> Group:
    group = Group.objects.filter(name=name).first()
    if group is None:
        known = ", ".join(Group.objects.order_by("name").values_list("name", flat=True)) or "none"
        raise CommandError(f"There is no role or group named {name!r}. There are: {known}.")
    return group


def chosen_users(options: dict[str, Any]) -> QuerySet[User]:
    """The accounts of `users list`, the newest first."""
    rows = (
        User.objects.select_related("plan").prefetch_related("groups").annotate(seen_at=Max("sessions__last_seen_at"))
    )
    if options["search"]:
        rows = rows.filter(pk__in=with_words(User.objects.all(), USERS, options["search"]).values("pk"))
    if options["plan"]:
        plan = find_plan(options["plan"])
        rows = rows.filter(plan=plan) | rows.filter(plan=None) if plan.is_default else rows.filter(plan=plan)
    if options["group"]:
        rows = rows.filter(groups=find_group(options["group"]))
    if options["staff"]:
        rows = rows.filter(is_staff=True)
    if options["disabled"]:
        rows = rows.filter(is_active=False)
    return rows.order_by("-id")[: options["limit"]]


def state_of(user: User) -> str:
    if user.erase_at:
        return "erasure scheduled"
    if user.awaits_approval:
        return "awaits approval"
    return "active" if user.is_active else "disabled"


def as_facts(user: Any) -> dict[str, Any]:
    """An account for scripts."""
    return {
        "id": str(user.pk), "email": user.email, "name": user.name, "state": state_of(user),
        "plan": user.plan.name if user.plan else None, "groups": sorted(group.name for group in user.groups.all()),
        "staff": user.is_staff, "superuser": user.is_superuser, "joined": user.date_joined.isoformat(),
        "last_seen": (seen := getattr(user, "seen_at", None) or user.last_login) and seen.isoformat(),
    }  # fmt: skip


def create_user(email: str, *, name: str, plan: Plan | None, password: str | None) -> tuple[User, str]:
    """Creates an account whose address counts as confirmed. Returns it and its password, which is made if None.

    Raises `CommandError` for an address that is taken or malformed, or a password that is too weak.
    """
    email = email.strip().lower()
    made = password or secrets.token_urlsafe(12)
    try:
        validate_email(email)
        validate_password(made, User(email=email, name=name))
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from None
    if User.objects.filter(email__iexact=email).exists():
        raise CommandError("There is an account with this address already.")
    with transaction.atomic():
        user = User.objects.create_user(email, made, name=name, plan=plan)
        EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
        record_command("add", user, details="by command", changes={"email": ("", email), "name": ("", name)})
    return user, made


def disable_user(user: User, reason: str) -> None:
    """Disables an account and ends its sessions. Raises `CommandError` for the last administrator."""
    try:
        with transaction.atomic():
            record_command("switch_off", user, reason=reason, changes={"is_active": (str(user.is_active), "False")})
            erasure.disable(user)
    except erasure.LastAdministratorError as error:
        raise CommandError(str(error)) from None


def enable_user(user: User) -> None:
    """Enables an account, also one that waits for approval. Raises `CommandError` if an erasure is scheduled."""
    with transaction.atomic():
        if user.awaits_approval:
            record_command("approve", user)
            erasure.approve(user)
            return
        record_command("switch_on", user, changes={"is_active": (str(user.is_active), "True")})
        if not erasure.enable(user):
            raise CommandError("Its erasure is scheduled: `erase_user EMAIL --undo` cancels that first.")


def set_plan(user: User, plan: Plan | None) -> bool:
    """Gives an account a plan, or with None the default one. False if it has that plan already."""
    if user.plan_id == (plan.pk if plan else None):
        return False
    with transaction.atomic():
        changes = {"plan": (str(user.plan or ""), str(plan or ""))}
        user.plan = plan
        user.save(update_fields=["plan"])
        record_command("change", user, changes=changes)
    return True


def promote(user: User, role: Group | None) -> None:
    """Makes an account staff with a role; without one, an administrator of everything (superuser)."""
    with transaction.atomic():
        before = _rights(user)
        user.is_staff = True
        if role is None:
            user.is_superuser = True
        else:
            user.groups.add(role)
        user.save(update_fields=["is_staff", "is_superuser"])
        record_command("change", user, details="by command", changes={"rights": (before, _rights(user))})


def demote(user: User) -> None:
    """Takes all rights of staff away: superuser, staff, and every role that has permissions of staff.

    Raises `CommandError` for the last administrator.
    """
    try:
        with transaction.atomic():
            if user.is_superuser:
                erasure.guard_last_administrator(user)
            before = _rights(user)
            user.is_staff = user.is_superuser = False
            user.save(update_fields=["is_staff", "is_superuser"])
            user.user_permissions.clear()
            user.groups.remove(*user.groups.filter(permissions__codename__startswith="view_").distinct())
            record_command("change", user, details="by command", changes={"rights": (before, _rights(user))})
    except erasure.LastAdministratorError as error:
        raise CommandError(str(error)) from None


def _rights(user: User) -> str:
    names = sorted(user.groups.values_list("name", flat=True))
    kind = "superuser" if user.is_superuser else "staff" if user.is_staff else "user"
    return ", ".join([kind, *names])
