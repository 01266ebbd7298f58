"""Groups as a directory sees them: those that give no permissions of staff. Roles are given on the site, or by claims.

A group that a directory deletes loses its members and stays: plans, shared quotas and collections refer to it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, Final

from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import roles
from accounts.lib.names import shown_name
from accounts.models import ScimResource, User
from accounts.scim.errors import ScimError, invalid, not_found
from accounts.scim.patching import Resource, apply_patch
from accounts.scim.users import Changes

SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
FIELDS: Final = {"id": "pk", "displayname": "name", "externalid": "scim__external_id", "members.value": "user__pk"}
MOST_MEMBERS: Final = 50_000
_TAKEN: Final = "There is a group or role with this displayName already."


def all_groups() -> QuerySet[Group]:
    """Those that a directory may see and change: without permissions, but those that everybody has."""
    usual = [one.pk for one in roles.ordinary_permissions()]
    staff = Permission.objects.exclude(pk__in=usual)
    return Group.objects.exclude(permissions__in=staff).select_related("scim").order_by("pk")


def find_group(id_: str) -> Group:
    """Raises `ScimError`."""
    found = all_groups().filter(pk=int(id_)).first() if id_.isascii() and id_.isdigit() and len(id_) < 10 else None
    if found is None:
        raise not_found("group", id_)
    return found


def show_group(group: Group, base: str, *, members: bool = True) -> Resource:
    """The resource; `members`: with its members."""
    try:
        known = group.scim
    except ScimResource.DoesNotExist:
        known = None
    shown: Resource = {
        "schemas": [SCHEMA],
        "id": str(group.pk),
        "displayName": group.name,
        "meta": {"resourceType": "Group", "location": f"{base}/Groups/{group.pk}"},
    }
    if known is not None:
        shown["meta"] |= {"created": known.created_at.isoformat(), "lastModified": known.changed_at.isoformat()}
        if known.external_id:
            shown["externalId"] = known.external_id
    if members:
        rows = User.objects.filter(groups=group).order_by("pk").values_list("pk", "email")
        shown["members"] = [
            {"value": str(pk), "display": email, "$ref": f"{base}/Users/{pk}", "type": "User"} for pk, email in rows
        ]
    return shown


def create_group(body: Resource) -> tuple[Group, Changes]:
    """Raises `ScimError`."""
    name, members = _name_of(body), _members_of(body.get("members"))
    try:
        with transaction.atomic():
            group = Group.objects.create(name=name)
            group.permissions.add(*roles.ordinary_permissions())
            ScimResource.objects.create(group=group, external_id=shown_name(str(body.get("externalId") or ""))[:255])
            _add(group, members)
    except IntegrityError as error:
        raise ScimError(409, _TAKEN, "uniqueness") from error
    return group, {"name": ("", name), "members": ("", f"{len(members)} members")}


def replace_group(group_id: str, body: Resource) -> tuple[Group, Changes]:
    """PUT: the group as the body says. Without `members` it keeps them. Raises `ScimError`."""
    group = find_group(group_id)
    name = _name_of(body)
    changes: Changes = {}
    try:
        with transaction.atomic():
            Group.objects.select_for_update().get(pk=group.pk)
            if name != group.name:
                changes["name"] = (group.name, name)
                group.name = name
                group.save(update_fields=["name"])
            if "members" in body:
                changes |= _set_members(group, _members_of(body["members"]))
            known, _created = ScimResource.objects.get_or_create(group=group)
            known.external_id = shown_name(str(body.get("externalId") or known.external_id))[:255]
            known.changed_at = timezone.now()
            known.save()
    except IntegrityError as error:
        raise ScimError(409, _TAKEN, "uniqueness") from error
    return find_group(group_id), changes


def patch_group(group_id: str, body: Any, base: str) -> tuple[Group, Changes]:
    """PATCH. Raises `ScimError`."""
    resource = show_group(find_group(group_id), base)
    apply_patch(resource, body)
    resource.setdefault("members", [])  # all were removed
    return replace_group(group_id, resource)


def empty_group(group_id: str) -> tuple[Group, Changes]:
    """DELETE: the group loses its members. Raises `ScimError`."""
    group = find_group(group_id)
    with transaction.atomic():
        return group, _set_members(group, [])


def _set_members(group: Group, wanted: list[uuid.UUID]) -> Changes:
    """How many came and went, for the audit log."""
    held = set(User.objects.filter(groups=group).values_list("pk", flat=True))
    added, removed = set(wanted) - held, held - set(wanted)
    _add(group, added)
    User.groups.through.objects.filter(group=group, user__in=removed).delete()
    if not added and not removed:
        return {}
    return {"members": (f"{len(held)} members", f"{len(added)} added, {len(removed)} removed")}


def _add(group: Group, members: Iterable[uuid.UUID]) -> None:
    through = User.groups.through
    through.objects.bulk_create([through(group=group, user_id=one) for one in members], ignore_conflicts=True)


def _name_of(body: Resource) -> str:
    name = shown_name(str(body.get("displayName") or ""))
    if not 1 <= len(name) <= 150:
        raise invalid("'displayName' must have 1 to 150 characters.")
    return name


def _members_of(given: Any) -> list[uuid.UUID]:
    """The ids of users. Raises `ScimError` for one that there is not: a member that is lost would go unnoticed."""
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MOST_MEMBERS:
        raise invalid(f"'members' must be a list of at most {MOST_MEMBERS} members.")
    texts = [str(one.get("value") if isinstance(one, dict) else one) for one in given]
    ids = list(dict.fromkeys(_ids(texts)))
    known = set(User.objects.filter(pk__in=ids).values_list("pk", flat=True))
    if missing := [str(one) for one in ids if one not in known]:
        raise invalid(f"There is no user with the id {missing[0]}.")
    return ids


def _ids(texts: Iterable[str]) -> Iterable[uuid.UUID]:
    for text in texts:
        try:
            yield uuid.UUID(text)
        except ValueError:
            raise invalid(f"'{text[:64]}' is not the id of a user. Groups within groups are not supported.") from None
