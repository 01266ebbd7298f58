"""Users as a directory sees them. `userName` is the account's email address, which is also how people log in.

A directory may deactivate whoever is no superuser, which ends sessions and sockets at once and keeps all that the user
has written. It activates again only whom a directory has deactivated, not whom staff have disabled. It cannot change
the address of staff: whoever can would get their account.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from allauth.account.models import EmailAddress
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import erasure
from accounts.lib.names import shown_name
from accounts.models import ScimResource, User
from accounts.scim.errors import ScimError, invalid, not_found
from accounts.scim.patching import Resource, apply_patch

SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
FIELDS: Final = {  # columns that lists can be filtered by
    "id": "pk", "username": "email", "emails": "email", "emails.value": "email",
    'emails[type eq "work"].value': "email",
    "externalid": "scim__external_id", "displayname": "name", "name.formatted": "name", "active": "is_active",
}  # fmt: skip
_TAKEN: Final = "There is an account with this userName already."
_TRUTHS: Final = {"true": True, "false": False}

Changes = dict[str, tuple[str, str]]


def all_users() -> QuerySet[User]:
    return User.objects.select_related("scim").prefetch_related("groups").order_by("pk")


def find_user(id_: str) -> User:
    """Raises `ScimError`."""
    try:
        found = all_users().filter(pk=uuid.UUID(id_)).first()
    except ValueError:
        found = None
    if found is None:
        raise not_found("user", id_)
    return found


def show_user(user: User, base: str) -> Resource:
    """The resource. `base`: the address of the service, such as `https://chat.example.org/scim/v2`."""
    known = _known(user)
    shown: Resource = {
        "schemas": [SCHEMA],
        "id": str(user.pk),
        "userName": user.email,
        "displayName": user.name,
        "name": {"formatted": user.name, "givenName": known.given_name, "familyName": known.family_name},
        "emails": [{"value": user.email, "type": "work", "primary": True}],
        "active": user.is_active,
        "groups": [
            {"value": str(group.pk), "display": group.name, "$ref": f"{base}/Groups/{group.pk}"}
            for group in user.groups.all()
        ],
        "meta": {
            "resourceType": "User",
            "created": user.date_joined.isoformat(),
            "lastModified": max(known.changed_at, user.date_joined).isoformat(),
            "location": f"{base}/Users/{user.pk}",
        },
    }
    return {**shown, "externalId": known.external_id} if known.external_id else shown


def create_user(body: Resource) -> tuple[User, Changes]:
    """A new account without a password: its user logs in through a provider or the directory. Raises `ScimError`."""
    email = _email_of(body)
    if User.objects.filter(email__iexact=email).exists():
        raise ScimError(409, _TAKEN, "uniqueness")
    try:
        with transaction.atomic():
            user = User.objects.create_user(email, None, name=_name_of(body))
            EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
            known = ScimResource(user=user)
            _note(known, body)
            known.save()
            if not _active_of(body, default=True):
                erasure.disable(user)
                known.deactivated = True
                known.save(update_fields=["deactivated"])
    except IntegrityError as error:  # at the same moment
        raise ScimError(409, _TAKEN, "uniqueness") from error
    return find_user(str(user.pk)), {"active": ("", str(user.is_active))}


def replace_user(user_id: str, body: Resource) -> tuple[User, Changes]:
    """PUT: the account as the body says; what it does not name keeps its value. Raises `ScimError`."""
    find_user(user_id)
    try:
        with transaction.atomic():
            user = User.objects.select_for_update(of=("self",)).get(pk=user_id)
            changes = _write(user, body)
    except IntegrityError as error:  # at the same moment
        raise ScimError(409, _TAKEN, "uniqueness") from error
    return find_user(user_id), changes


def patch_user(user_id: str, body: Any, base: str) -> tuple[User, Changes]:
    """PATCH. Raises `ScimError`."""
    resource = show_user(find_user(user_id), base)
    apply_patch(resource, body)
    return replace_user(user_id, resource)


def deactivate_user(user_id: str) -> tuple[User, Changes]:
    """DELETE: the account is deactivated, and everything that belongs to it stays. Raises `ScimError`."""
    return replace_user(user_id, {"userName": find_user(user_id).email, "active": False})


def _write(user: User, body: Resource) -> Changes:
    """Changes a locked account and returns what has changed."""
    known = _known(user)
    email, name = _email_of(body), _name_of(body) or user.name
    active = _active_of(body, default=user.is_active)
    changes: Changes = {}
    if email != user.email:
        changes["email"] = (user.email, email)
    if name != user.name:
        changes["name"] = (user.name, name)
    if active != user.is_active:
        changes["active"] = (str(user.is_active), str(active))
    if changes and user.is_superuser:
        raise ScimError(403, "Superusers are managed on the site only.", "mutability")
    if "email" in changes:
        if user.is_staff:
            raise ScimError(403, "The address of staff is changed on the site only.", "mutability")
        _change_email(user, email)
    if "name" in changes:
        user.name = name
        user.save(update_fields=["name"])
    if "active" in changes and not _switch(user, known, on=active):
        del changes["active"]
    if _note(known, body) or changes or known.pk is None:
        known.changed_at = timezone.now()
        known.save()
    return changes


def _switch(user: User, known: ScimResource, *, on: bool) -> bool:
    """Deactivates an account, or activates it again if a directory has deactivated it. Whether it did."""
    if on and not (known.deactivated and erasure.enable(user)):
        return False
    if not on:
        erasure.disable(user)
    known.deactivated = not on
    return True


def _change_email(user: User, email: str) -> None:
    if _is_taken(email, user):
        raise ScimError(409, _TAKEN, "uniqueness")
    user.email = email
    user.save(update_fields=["email"])
    EmailAddress.objects.filter(Q(user=user) | Q(email__iexact=email)).delete()
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)


def _is_taken(email: str, user: User) -> bool:
    return User.objects.filter(Q(email__iexact=email) & ~Q(pk=user.pk)).exists()


def _known(user: User) -> ScimResource:
    try:
        return user.scim
    except ScimResource.DoesNotExist:
        return ScimResource(user=user, created_at=user.date_joined, changed_at=user.date_joined)


def _note(known: ScimResource, body: Resource) -> bool:
    """Notes the directory's own id and the parts of the name; whether one of them has changed."""
    names = body.get("name") if isinstance(body.get("name"), dict) else {}
    assert isinstance(names, dict)
    given = {
        "external_id": shown_name(str(body.get("externalId") or known.external_id))[:255],
        "given_name": shown_name(str(names.get("givenName") or known.given_name))[:120],
        "family_name": shown_name(str(names.get("familyName") or known.family_name))[:120],
    }
    changed = any(getattr(known, name) != value for name, value in given.items())
    for name, value in given.items():
        setattr(known, name, value)
    return changed


def _email_of(body: Resource) -> str:
    email = str(body.get("userName") or "").strip().lower()
    try:
        email.encode()  # fails for a half of a character, which an address may have for Django
        validate_email(email)
    except (ValidationError, UnicodeEncodeError):
        raise invalid("'userName' must be the user's email address: map it to that in your directory.") from None
    if len(email) > 254:
        raise invalid("'userName' has at most 254 characters.")
    return email


def _name_of(body: Resource) -> str:
    names = body.get("name") if isinstance(body.get("name"), dict) else {}
    assert isinstance(names, dict)
    joined = " ".join(str(names[part]) for part in ("givenName", "familyName") if names.get(part))
    return shown_name(str(body.get("displayName") or names.get("formatted") or joined))[:120]


def _active_of(body: Resource, *, default: bool) -> bool:
    active = body.get("active")
    if active is None:
        return default
    if isinstance(active, str):  # as Entra ID sends it
        active = _TRUTHS.get(active.lower())
    if not isinstance(active, bool):
        raise invalid("'active' must be true or false.")
    return active
