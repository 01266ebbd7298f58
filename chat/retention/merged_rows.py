"""What becomes of each row that belongs to a user when the account is merged into another one.

`MOVED`, `RENAMED`, `BY_HAND`, `LEFT` and `DELETED` name every column that refers to a user; a test compares them with
the models. A row that the account that stays has already, such as the same favourite, goes with the other account.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from allauth.account.models import EmailAddress
from django.apps import apps
from django.db import connection
from django.db.models import Q, UniqueConstraint
from django.db.models.functions import Lower

from accounts.models import User
from chat.models import Tag

# Given to the account that stays.
MOVED: Final = (
    "accounts.ApiToken.user", "accounts.Invitation.by", "accounts.Invitation.accepted_by",
    "accounts.PendingAct.asked_by", "accounts.PendingAct.decided_by", "accounts.ScimToken.created_by",
    "accounts.TermsAcceptance.user", "accounts.TopUp.by", "socialaccount.SocialAccount.user",
    "chat.ExportJob.user", "chat.FavouriteModel.user", "chat.File.owner", "chat.Folder.user", "chat.ImportJob.user",
    "chat.Instructions.user", "chat.JoinLink.created_by", "chat.Member.user", "chat.Mention.by", "chat.Mention.user",
    "chat.Message.author", "chat.ModelChoice.user", "chat.ModerationCase.claimed_by", "chat.ModerationCase.person",
    "chat.ModerationDecision.decided_by", "chat.ModerationReport.reporter", "chat.QueuedMessage.author",
    "chat.Rating.user", "chat.Recording.user", "chat.Revision.changed_by", "chat.Run.requested_by",
    "chat.ShareLink.created_by", "chat.StaffExport.user", "chat.Strike.person", "chat.Submission.user",
    "chat.Tag.user", "chat.ToolApproval.user", "chat.ToolCall.decided_by", "chat.ToolConnection.user",
    "chat.ToolDecision.by", "chat.ToolServer.owner", "chat.ToolSwitch.changed_by", "chat.Upload.owner",
    "chat.Webhook.created_by",
)  # fmt: skip
# The same, where names of one owner differ: a name that both have gets a number.
RENAMED: Final = ("chat.Collection.owner", "chat.Preset.owner", "chat.Prompt.owner", "chat.Webhook.owner")
# With rules of their own, here, in `chat.retention.merging` or in `accounts.quotas.merging`.
BY_HAND: Final = (
    "account.EmailAddress.user", "accounts.Allowance.user", "accounts.DailyUsage.user", "accounts.PendingAct.user",
    "accounts.TopUp.user", "accounts.UsageEntry.user", "accounts.User_groups.user",
)  # fmt: skip
# Of no account that may be merged, or deleted with it: log-ins, their factors and browsers, and what was set for it.
DELETED: Final = (
    "accounts.Quota.user", "accounts.ScimResource.user", "accounts.Session.user",
    "accounts.User_user_permissions.user", "admin.LogEntry.user", "chat.PushSubscription.user",
    "mfa.Authenticator.user",
)  # fmt: skip
# Nobody can change them; `accounts.merging.ids_of` finds them.
LEFT: Final = ("accounts.AuditEntry.actor",)

# Of conversations that both are members of, the membership that stays has the higher role and the earlier date.
_MEMBERSHIPS: Final = """
UPDATE chat_member k SET joined_at = LEAST(k.joined_at, m.joined_at), folder_id = COALESCE(k.folder_id, m.folder_id),
    role = CASE WHEN 'owner' IN (k.role, m.role) THEN 'owner' WHEN 'editor' IN (k.role, m.role) THEN 'editor'
        ELSE 'viewer' END,
    archived_at = CASE WHEN m.archived_at IS NOT NULL THEN k.archived_at END
FROM chat_member m WHERE k.user_id = %(kept)s AND m.user_id = %(merged)s AND k.conversation_id = m.conversation_id
"""


def move_rows(merged_id: uuid.UUID, kept_id: uuid.UUID) -> None:
    """Moves everything but the ledger. Call it in the transaction that has locked both users."""
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERSHIPS, {"merged": merged_id, "kept": kept_id})
    _join_tags(merged_id, kept_id)
    for name in RENAMED:
        model, column = _column(name)
        _rename(model, column, merged_id, kept_id)
    for name in (*MOVED, *RENAMED):
        model, column = _column(name)
        _move(model, column, merged_id, kept_id)
    decided = ~Q(state="waiting")
    _column("accounts.PendingAct.user")[0]._base_manager.filter(decided, user_id=merged_id).update(user_id=kept_id)  # noqa: SLF001
    _join_addresses(merged_id, kept_id)
    _join_groups(merged_id, kept_id)


def columns_of_users() -> set[str]:
    """Every column that refers to a user, as `app.Model.column`."""
    related: list[Any] = User._meta.get_fields(include_hidden=True)  # noqa: SLF001
    return {
        f"{one.related_model._meta.label}.{one.field.name}"  # noqa: SLF001
        for one in related
        if one.auto_created and not one.concrete and not one.many_to_many
    }


def _column(name: str) -> tuple[Any, str]:
    label, _dot, column = name.rpartition(".")
    return apps.get_model(label), column


def _move(model: Any, column: str, merged_id: uuid.UUID, kept_id: uuid.UUID) -> None:
    """Gives rows to the account that stays, except for those that it has already."""
    table = model._meta.db_table  # noqa: SLF001
    name = model._meta.get_field(column).column  # noqa: SLF001
    there = "".join(
        f" AND NOT EXISTS (SELECT FROM {table} k WHERE k.{name} = %(kept)s"
        + "".join(f" AND k.{one} {same} t.{one}" for one in others)
        + ")"
        for others, same in _unique_with(model, column)
    )
    with connection.cursor() as cursor:
        statement = f"UPDATE {table} t SET {name} = %(kept)s WHERE t.{name} = %(merged)s{there}"  # noqa: S608
        cursor.execute(statement, {"merged": merged_id, "kept": kept_id})


def _unique_with(model: Any, column: str) -> list[tuple[list[str], str]]:
    """The columns that are unique together with a column, and how they are compared."""
    meta = model._meta  # noqa: SLF001
    found: list[tuple[list[str], str]] = [([], "=")] if meta.get_field(column).unique else []
    for one in meta.constraints:
        if isinstance(one, UniqueConstraint) and one.condition is None and column in one.fields:
            others = [meta.get_field(name).column for name in one.fields if name != column]
            found.append((others, "IS NOT DISTINCT FROM" if one.nulls_distinct is False else "="))
    return found


def _rename(model: Any, column: str, merged_id: uuid.UUID, kept_id: uuid.UUID) -> None:
    """Numbers the names of the merged account's rows that the other one has, too."""
    both = model.objects.filter(Q((column, merged_id)) | Q((column, kept_id)))
    taken = set(both.values_list("name", flat=True))
    theirs = model.objects.filter((column, kept_id)).values("name")
    longest = model._meta.get_field("name").max_length  # noqa: SLF001
    for row in model.objects.filter((column, merged_id), name__in=theirs).order_by("pk"):
        number = 2
        while (name := f"{row.name[: longest - 6]} ({number})") in taken:
            number += 1
        taken.add(name)
        model.objects.filter(pk=row.pk).update(name=name)


def _join_tags(merged_id: uuid.UUID, kept_id: uuid.UUID) -> None:
    """Gives what has a tag that both have to the tag of the account that stays."""
    theirs = dict(Tag.objects.filter(user=kept_id).values_list(Lower("name"), "pk"))
    tagged: Any = Tag.members.through
    for tag, name in Tag.objects.filter(user=merged_id).values_list("pk", Lower("name")):
        if same := theirs.get(name):
            tagged.objects.filter(tag_id=tag).update(tag_id=same)
            Tag.objects.filter(pk=tag).delete()


def _join_addresses(merged_id: uuid.UUID, kept_id: uuid.UUID) -> None:
    """The confirmed addresses of the merged account lead to the other one, so that nobody signs up with them again."""
    rows = EmailAddress.objects.filter(user=merged_id, verified=True)
    rows.exclude(email__in=EmailAddress.objects.filter(user=kept_id).values("email")).update(
        user=kept_id, primary=False
    )


def _join_groups(merged_id: uuid.UUID, kept_id: uuid.UUID) -> None:
    """The account that stays joins the teams of the other one, but gets none of its permissions."""
    member_of = User.groups.through.objects
    known = member_of.filter(user_id=kept_id).values("group_id")
    member_of.filter(user_id=merged_id, group__permissions=None).exclude(group_id__in=known).update(user_id=kept_id)
