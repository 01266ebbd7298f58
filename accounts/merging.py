"""Merging two accounts of one person: what refuses it, for the command and the admin.

The app that stores users' data does the work and registers it with `accounts.erasure.register_user_data`.
"""

from __future__ import annotations

import uuid
from typing import Final

from django.utils.translation import gettext

from accounts.models import AuditEntry, ScimResource, User

VERB: Final = "merge"  # of the audit entry


class MergeRefusedError(Exception):
    """Why two accounts cannot be merged: a sentence for staff, with a way on."""


def check_mergeable(merged: User, kept: User, by: User | None = None) -> None:
    """Raises `MergeRefusedError`. `by` is who asks; None for a command."""
    if merged.pk == kept.pk:
        raise MergeRefusedError(gettext("These are the same account. Enter the address of the other one."))
    for user in (merged, kept):
        shown = {"user": user}
        if by is not None and user.pk == by.pk:
            raise MergeRefusedError(gettext("You cannot merge your own account. Somebody else has to do it."))
        if user.is_staff or user.is_superuser:
            raise MergeRefusedError(
                gettext("%(user)s is staff, and accounts of staff are not merged. Remove the staff rights first.")
                % shown
            )
        if user.erase_at is not None:
            raise MergeRefusedError(gettext("%(user)s is scheduled for erasure. Cancel that first.") % shown)
        if user.awaits_approval:
            raise MergeRefusedError(gettext("%(user)s is awaiting approval. Approve the account first.") % shown)
    if not kept.is_active:
        raise MergeRefusedError(
            gettext("%(user)s is disabled. Enable the account first, or keep the other one.") % {"user": kept}
        )
    if ScimResource.objects.filter(user=merged).exists():
        raise MergeRefusedError(
            gettext(
                "%(user)s is managed through SCIM, and the identity provider would create it again. "
                "Keep this account and merge the other one into it."
            )
            % {"user": merged}
        )


def ids_of(user_id: uuid.UUID) -> list[uuid.UUID]:
    """The id of an account, and those of accounts that were merged into it: the audit log, which nobody can change,
    has these in older entries. One query, and one for each merge.
    """
    found = [user_id]
    for one in found:
        rows = AuditEntry.objects.filter(object_id=str(one), object_type=User._meta.label_lower, verb=VERB)  # noqa: SLF001
        found += [id_ for subjects in rows.values_list("subjects", flat=True) for id_ in subjects if id_ not in found]
    return found
