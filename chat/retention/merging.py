"""Merges two accounts of one person: what one has goes to the other one, and the account is deleted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.db import transaction
from django.utils.translation import gettext

from accounts.merging import MergeRefusedError, check_mergeable
from accounts.models import ApiToken, Invitation, Quota, Session, TopUp, UsageEntry, User
from accounts.quotas.merging import lock_ledgers, merge_ledgers
from chat.models import (
    ACTIVE,
    Collection,
    ExportJob,
    File,
    Folder,
    ImportJob,
    Member,
    Message,
    Preset,
    Prompt,
    PushSubscription,
    Recording,
    Run,
    ShareLink,
    Tag,
)
from chat.models.transfers import IN_PROGRESS
from chat.retention.merged_rows import move_rows
from chat.retention.purge import delete_event_logs


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge did, or would do. The last four go with the account that ends."""

    conversations_moved: int
    conversations_of_both: int  # one membership is left, with the higher role
    messages_moved: int
    folders_moved: int
    tags_moved: int
    files_moved: int
    collections_moved: int
    presets_moved: int
    prompts_moved: int
    recordings_moved: int
    share_links_moved: int
    api_tokens_moved: int
    addresses_moved: int  # confirmed ones, with which the person can still log in
    logins_moved: int  # at single sign-on providers
    usage_entries_moved: int
    top_ups_moved: int
    quotas_deleted: int  # set for the account itself: the other one keeps its own
    top_ups_deleted: int  # of these quotas
    sessions_ended: int
    devices_deleted: int


def merge(merged: User, kept: User) -> dict[str, int]:
    """Moves what `merged` has to `kept` and deletes `merged`, whose sockets close. Returns the numbers of `Merged`.

    All in one transaction. Raises `MergeRefusedError`, also while `merged` has an answer or a transfer under way: its
    worker would record usage for an account that is gone.
    """
    with transaction.atomic():
        lock_ledgers(merged.pk, kept.pk)
        # New rows of either wait for these locks, because they refer to the user.
        locked = {user.pk: user for user in User.objects.select_for_update().filter(pk__in=[merged.pk, kept.pk])}
        if len(locked) != len({merged.pk, kept.pk}):
            raise MergeRefusedError(gettext("One of the accounts no longer exists."))
        merged, kept = locked[merged.pk], locked[kept.pk]
        check_mergeable(merged, kept)
        _check_idle(merged)
        found = report(merged, kept)
        conversations = list(Member.objects.filter(user=merged).values_list("conversation_id", flat=True))
        move_rows(merged.pk, kept.pk)
        merge_ledgers(merged.pk, kept.pk)
        _keep_restrictions(merged, kept)
        Invitation.objects.filter(email__iexact=merged.email, accepted_at=None).delete()
        merged.delete()
        # The event logs name the merged user as the author. Clients without a log load a snapshot.
        transaction.on_commit(partial(delete_event_logs, conversations), robust=True)
    return found


def report(merged: User, kept: User) -> dict[str, int]:
    """What `merge` would do, by the names of `Merged`."""
    theirs = Member.objects.filter(user=kept).values("conversation_id")
    memberships = Member.objects.filter(user=merged)
    own_quotas = Quota.objects.filter(user=merged)

    def count(model: Any, **named: Any) -> int:
        return int(model.objects.filter(**named).count())

    return asdict(
        Merged(
            conversations_moved=memberships.exclude(conversation_id__in=theirs).count(),
            conversations_of_both=memberships.filter(conversation_id__in=theirs).count(),
            messages_moved=count(Message, author=merged),
            folders_moved=count(Folder, user=merged),
            tags_moved=count(Tag, user=merged),
            files_moved=count(File, owner=merged),
            collections_moved=count(Collection, owner=merged),
            presets_moved=count(Preset, owner=merged),
            prompts_moved=count(Prompt, owner=merged),
            recordings_moved=count(Recording, user=merged),
            share_links_moved=count(ShareLink, created_by=merged),
            api_tokens_moved=count(ApiToken, user=merged),
            addresses_moved=count(EmailAddress, user=merged, verified=True),
            logins_moved=count(SocialAccount, user=merged),
            usage_entries_moved=count(UsageEntry, user=merged),
            top_ups_moved=TopUp.objects.filter(user=merged).exclude(quota__in=own_quotas).count(),
            quotas_deleted=own_quotas.count(),
            top_ups_deleted=TopUp.objects.filter(quota__in=own_quotas).count(),
            sessions_ended=count(Session, user=merged),
            devices_deleted=count(PushSubscription, user=merged),
        )
    )


def _check_idle(merged: User) -> None:
    """Raises `MergeRefusedError`."""
    busy = (
        Run.objects.filter(requested_by=merged, status__in=ACTIVE).exists()
        or Recording.objects.filter(user=merged, finished_at=None).exists()
        or any(job.objects.filter(user=merged, state__in=IN_PROGRESS).exists() for job in (ImportJob, ExportJob))
    )
    if busy:
        raise MergeRefusedError(
            gettext(
                "%(user)s has an answer, a recording, an import or an export in progress. "
                "Disable the account, so that nothing new begins, and merge it when they have ended."
            )
            % {"user": merged}
        )


def _keep_restrictions(merged: User, kept: User) -> None:
    """A suspension of either account holds for the person."""
    if merged.suspended_until and (kept.suspended_until is None or merged.suspended_until > kept.suspended_until):
        kept.suspended_until, kept.suspension_reason = merged.suspended_until, merged.suspension_reason
        kept.save(update_fields=["suspended_until", "suspension_reason"])


__all__ = ["MergeRefusedError", "Merged", "merge", "report"]
