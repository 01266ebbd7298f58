"""Roles: groups with predefined permissions, and which users a member of staff may manage.

`migrate` creates the groups and adds missing permissions. Permissions that a site adds stay, except those that the role
must `never` have, such as reading messages for billing: these are removed again and logged. For another combination of
permissions, a site creates its own group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from django.apps import AppConfig, apps
from django.contrib.auth.models import Group, Permission
from django.db import DEFAULT_DB_ALIAS, transaction
from django.db.models import Q, QuerySet

from accounts.models import User

logger = structlog.get_logger(__name__)


def _each(verbs: str, *models: str) -> frozenset[str]:
    """`_each("view add", "accounts.plan")` returns accounts.view_plan and accounts.add_plan."""
    return frozenset(
        f"{app}.{verb}_{model}"
        for app, _dot, model in (name.partition(".") for name in models)
        for verb in verbs.split()
    )


_LIMITS: Final = ("accounts.plan", "accounts.quota", "accounts.price")
VIEW_AS: Final = "accounts.view_as_user"  # with all that the user can read
_CHANGE_LIMITS: Final = _each("add change delete", *_LIMITS)
_MANAGE_USERS: Final = _each("add change delete", "accounts.user") | {
    "accounts.assign_roles",
    "accounts.erase_user",
    "accounts.merge_user",
}


@dataclass(frozen=True, slots=True)
class Role:
    """A group with the permissions it `has` and those it must `never` have. `has` is None where it has all of them.

    Permissions that the database does not have yet are left out.
    """

    name: str
    has: frozenset[str] | None
    never: frozenset[str] = frozenset()


_apps: Final = {"accounts"}  # an administrator has all of their permissions
_roles: Final = {
    role.name: role
    for role in (
        Role(
            "support",
            _each("view", "accounts.user", "accounts.plan", "accounts.quota", "accounts.allowance", "accounts.topup")
            | _each("view", "accounts.invitation")
            | {"accounts.view_dashboard", "accounts.end_sessions", "accounts.top_up", "accounts.invite_user"}
            | {"accounts.approve_user", "accounts.view_apitoken", "accounts.revoke_apitoken"},
            never=_CHANGE_LIMITS | _MANAGE_USERS | {"accounts.assign_plan", "accounts.export_user", VIEW_AS},
        ),
        Role(
            "moderator",
            _each("view", "accounts.user", "accounts.apitoken")
            | {"accounts.disable_user", "accounts.end_sessions", "accounts.revoke_apitoken"},
            never=_CHANGE_LIMITS | _MANAGE_USERS | {"accounts.assign_plan", "accounts.top_up"},
        ),
        Role(
            "billing",
            _each("view", "accounts.user", *_LIMITS, "accounts.allowance", "accounts.topup")
            | _each("view", "accounts.usageentry", "accounts.dailyusage")
            | _CHANGE_LIMITS
            | _each("view add change delete", "accounts.budget", "accounts.usagereport")
            | {"accounts.view_dashboard", "accounts.top_up", "accounts.assign_plan"}
            | {"accounts.export_lists", "accounts.import_lists"},
            never=_MANAGE_USERS | {"accounts.export_user", VIEW_AS},
        ),
        Role("administrator", None),
    )
}


def register_app_permissions(
    app: str, *, has: Mapping[str, Iterable[str]] | None = None, never: Mapping[str, Iterable[str]] | None = None
) -> None:
    """Adds an app's permissions to roles, by their names. The administrator gets all permissions of the app.

    An app calls it when it is ready. Raises `KeyError` for a role that does not exist.
    """
    _apps.add(app)
    for name, permissions in (has or {}).items():
        role = _roles[name]
        _roles[name] = replace(role, has=(role.has or frozenset()) | frozenset(permissions))
    for name, permissions in (never or {}).items():
        role = _roles[name]
        _roles[name] = replace(role, never=role.never | frozenset(permissions))


_ordinary: Final[set[str]] = set()


def register_ordinary_permissions(app: str, names: Iterable[str]) -> None:
    """Registers an app's permissions for what ordinary users do: every role has them, and new groups start with them.

    Raises nothing for permissions that do not exist; they are left out.
    """
    _ordinary.update(names)
    register_app_permissions(app, has={name: names for name, role in _roles.items() if role.has is not None})


def ordinary_permissions() -> list[Permission]:
    """The permissions that a new group starts with."""
    found = Permission.objects.filter(codename__in=[name.partition(".")[2] for name in _ordinary])
    return [one for one in found.select_related("content_type") if _names([one]) <= _ordinary]


def all_roles() -> list[Role]:
    """The roles with what every app registered for them."""
    return list(_roles.values())


def create_roles_after_migrate(app_config: AppConfig, using: str = DEFAULT_DB_ALIAS, **_kwargs: Any) -> None:
    """Creates the roles after the last app's `post_migrate`, when all permissions exist."""
    if app_config == [one for one in apps.get_app_configs() if one.models_module][-1]:
        create_roles(using)


def create_roles(using: str = DEFAULT_DB_ALIAS) -> None:
    """Creates the groups, adds missing permissions and removes forbidden ones. Repeating it changes nothing."""
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.using(using).select_related("content_type")
    }
    everything = {name for name in known if name.partition(".")[0] in _apps}
    with transaction.atomic(using):
        for role in all_roles():
            group, _created = Group.objects.using(using).get_or_create(name=role.name)
            group.permissions.add(*(known[name] for name in (role.has or everything) & known.keys()))
            if excess := forbidden(role.name, group.permissions.all()):
                group.permissions.remove(*(known[name] for name in excess))
                logger.warning("role_corrected", role=role.name, removed=excess)


def forbidden(role: str, permissions: Iterable[Permission]) -> list[str]:
    """Which of these permissions a group of this name must never have."""
    never = _roles[role].never if role in _roles else frozenset()
    return sorted(never & _names(permissions))


def may_manage(actor: User, target: User) -> bool:
    """Whether `actor` may change, disable or erase `target`, provided they have the permission for the action.

    Superusers may manage everybody. Others may manage nobody with a permission that they lack themselves, and staff
    only with `assign_roles`. The permissions of a disabled target count too.
    """
    if actor.is_superuser:
        return True
    if target.is_superuser or (target.is_staff and not actor.has_perm("accounts.assign_roles")):
        return False
    return _names(permissions_of(target)) <= actor.get_all_permissions()


def may_grant(actor: User, group: Group) -> bool:
    """Whether `actor` may add users to this group: they need all of its permissions themselves."""
    if actor.is_superuser:
        return True
    names = _names(group.permissions.select_related("content_type"))
    return actor.has_perm("accounts.assign_roles") and names <= actor.get_all_permissions()


def grantable(actor: User) -> QuerySet[Group]:
    """The groups that `actor` may add users to, as `may_grant` says, in as many queries for many groups as for few."""
    if actor.is_superuser:
        return Group.objects.order_by("name")
    if not actor.has_perm("accounts.assign_roles"):
        return Group.objects.none()
    mine = actor.get_all_permissions()
    groups = Group.objects.prefetch_related("permissions__content_type")
    found = [group.pk for group in groups if _names(list(group.permissions.all())) <= mine]
    return Group.objects.filter(pk__in=found).order_by("name")


def permissions_of(user: User) -> QuerySet[Permission]:
    """The user's own and groups' permissions, also while the user is inactive (Django then returns none)."""
    found = Permission.objects.filter(Q(user=user) | Q(group__user=user))
    return found.select_related("content_type").distinct()


def _names(permissions: Iterable[Permission]) -> set[str]:
    if isinstance(permissions, QuerySet):
        permissions = permissions.select_related("content_type")
    return {f"{one.content_type.app_label}.{one.codename}" for one in permissions}
