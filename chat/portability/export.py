"""The export of everything stored about a user, as JSON (`formats.own` reads it again)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from accounts.auth.api_tokens import describe_token
from accounts.lib.streaming import in_parts
from accounts.models import ApiToken, Session, TermsAcceptance, User
from chat.catalog.prompt_files import own_prompts
from chat.models import (
    Comparison,
    FavouriteModel,
    ImportJob,
    Instructions,
    Member,
    Message,
    Preset,
    PushSubscription,
    QueuedMessage,
    QueuedState,
    Rating,
    Reasoning,
    Recording,
    Role,
    Run,
    ShareLink,
    Tag,
    ToolApproval,
    ToolCall,
    ToolConnection,
    ToolServer,
)  # fmt: skip
from chat.portability import order
from chat.portability.exported_files import cited_by, files_of_conversation, own_collections, own_files
from chat.portability.steps import AnswerSteps, approvals_of
from chat.review.own_cases import export_cases
from chat.voice import audio_files

FORMAT: Final = "antiphon.export"
VERSION: Final = 1


def export_user_data(user: User, *, reasoning: bool = False) -> Iterator[str]:
    """JSON text in pieces, so that no more than one conversation is in memory. A conversation from which the user is
    removed meanwhile is left out. Raises `AccessLostError` if that happens while it is being sent.

    `reasoning`: with what the models thought, which is no part of their answers.

    It has the account, the user's own instructions, presets, prompts, collections, folders, tags, ratings, share links,
    what they decided about tools, moderation cases and reports, the sessions, API tokens, notified devices, log-ins at
    tool servers (without their keys), the conversations with every branch, the steps of answers, how far the user has
    read them and how they keep them, the files (their contents are beside this text in a prepared export), and the
    recordings with their stored audio (a WAV file in base64, else null).
    """
    yield json.dumps(_head(user), ensure_ascii=False)[:-1]
    yield ', "conversations": ['
    for number, (member, item) in enumerate(_conversations(user, reasoning=reasoning)):
        text = (",\n" if number else "\n") + json.dumps(item, ensure_ascii=False)
        yield from in_parts(text, Member.objects.filter(pk=member.pk).exists)
    yield '], "recordings": ['
    for number, item in enumerate(_recordings(user)):
        yield (",\n" if number else "\n") + json.dumps(item, ensure_ascii=False)
    yield "]}\n"


def _head(user: User) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "account": {
            "id": str(user.pk),
            "email": user.email,
            "name": user.name,
            "time_zone": user.time_zone,
            "mention_mails": user.mention_mails,
            "voice": user.voice,
            "joined_at": user.date_joined.isoformat(),
            "last_login": user.last_login.isoformat() if user.last_login else None,
        },
        "sessions": [
            {
                "created_at": row.created_at.isoformat(),
                "last_seen_at": row.last_seen_at.isoformat(),
                "ip": row.ip,
                "user_agent": row.user_agent,
            }
            for row in Session.objects.filter(user=user).order_by("created_at")
        ],
        "api_tokens": [describe_token(row) for row in ApiToken.objects.filter(user=user).order_by("pk")],
        "notified_devices": [
            {
                "created_at": row.created_at.isoformat(),
                "device": row.device,
                "push_service": row.host,
                "shows_text": row.with_text,
                "last_sent_at": row.sent_at.isoformat() if row.sent_at else None,
            }
            for row in PushSubscription.objects.filter(user=user).order_by("pk")
        ],
        "instructions": Instructions.objects.filter(user=user).values("text", "enabled").first(),
        "favourite_models": list(
            FavouriteModel.objects.filter(user=user).order_by("created_at").values_list("model", flat=True)
        ),
        "presets": [_preset(row) for row in Preset.objects.filter(owner=user).order_by("name")],
        "prompts": own_prompts(user),
        "folders": order.folders_of(user),
        "tags": list(Tag.objects.filter(user=user).order_by("name").values_list("name", flat=True)),
        "ratings": [
            {
                "message_id": str(row.message_id),
                "model": row.model,
                "value": row.value,
                "note": row.note,
                "rated_at": row.rated_at.isoformat(),
            }
            for row in Rating.objects.filter(user=user).order_by("rated_at")
        ],
        "share_links": [_share_link(row) for row in ShareLink.objects.filter(created_by=user).order_by("created_at")],
        "tool_servers": [_tool_server(row) for row in ToolServer.objects.filter(owner=user).order_by("created_at")],
        "tool_connections": [
            _tool_connection(row)
            for row in ToolConnection.objects.filter(user=user).select_related("server").order_by("created_at")
        ],
        "tool_approvals": approvals_of(ToolApproval.objects.filter(user=user).order_by("pk")),
        "tool_decisions": [
            {
                "call": str(pk),
                "tool": name,
                "decision": decision,
                "reason": reason,
                "decided_at": at.isoformat() if at else None,
            }
            for pk, name, decision, reason, at in ToolCall.objects.filter(decided_by=user)
            .order_by("pk")
            .values_list("pk", "name", "decision", "reason", "decided_at")
        ],
        "accepted_terms": [
            {"version": row.version, "accepted_at": row.accepted_at.isoformat()}
            for row in TermsAcceptance.objects.filter(user=user).order_by("version")
        ],
        "imports": [
            {"name": row.name, "state": row.state, "new": row.new, "created_at": row.created_at.isoformat()}
            for row in ImportJob.objects.filter(user=user).defer("report").order_by("created_at")
        ],
        "files": own_files(user),
        "collections": own_collections(user),
        **export_cases(user),
    }


def _tool_server(row: ToolServer) -> dict[str, Any]:
    """A server of the user's own, without its token."""
    names = ("title", "kind", "address", "document_address", "auth", "enabled")
    return {name: getattr(row, name) for name in names} | {"created_at": row.created_at.isoformat()}


def _tool_connection(row: ToolConnection) -> dict[str, Any]:
    """A log-in at a server, without its tokens."""
    times = ("created_at", "connected_at", "refreshed_at", "last_used_at", "expires_at")
    found = {name: getattr(row, name) for name in times}
    return {"server": row.server.title, "address": row.server.address, "state": row.state, "scopes": row.scopes} | {
        name: None if when is None else when.isoformat() for name, when in found.items()
    }


def _preset(row: Preset) -> dict[str, Any]:
    names = ("name", "description", "model", "system_prompt", "temperature", "max_tokens", "effort")
    return {name: getattr(row, name) for name in (*names, "starters", "tools")} | {"enabled": row.enabled}


def _share_link(row: ShareLink) -> dict[str, Any]:
    """A link without its secret, which nobody has but who was given it."""
    names = ("kind", "audience", "title", "show_names", "show_reasoning", "show_tools", "show_files", "views")
    return {
        "conversation": str(row.conversation_id),
        "created_at": row.created_at.isoformat(),
        "expires_at": row.expires_at.isoformat(),
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
    } | {name: getattr(row, name) for name in names}


def _conversations(user: User, *, reasoning: bool) -> Iterator[tuple[Member, dict[str, Any]]]:
    memberships = Member.objects.filter(user=user).select_related("conversation").order_by("conversation_id")
    paths = order.folder_paths(user)
    # What its owner has deleted is gone for a viewer, who wrote nothing in it.
    for member in memberships.exclude(role=Role.VIEWER, conversation__deleted_at__isnull=False):
        data = conversation_data(member, reasoning=reasoning)
        if not Member.objects.filter(pk=member.pk).exists():
            continue  # removed since the export began
        read = {"message_id": str(member.seen_message_id)} if member.seen_message_id else {}
        yield (
            member,
            data | {"read_up_to": read | {"at": member.seen_until.isoformat()}} | order.order_of(member, paths),
        )


def conversation_data(member: Member, *, reasoning: bool = False) -> dict[str, Any]:
    """A conversation with every branch, as plain data for JSON. `mine` marks the messages that this member wrote.

    A viewer gets neither the system prompt nor when the owner deleted it: no page shows them either. A question that
    several models answered side by side has a `comparison`, and its answers their place as `slot`.
    """
    conversation = member.conversation
    is_viewer = member.role == Role.VIEWER
    thoughts = Reasoning.objects.filter(run__conversation=conversation) if reasoning else Reasoning.objects.none()
    thought = dict(thoughts.order_by("run__part").values_list("run__message", "text"))
    runs = {run.message_id: run for run in Run.objects.filter(conversation=conversation, latest=True)}
    comparisons = Comparison.objects.in_bulk([run.prompt_id for run in runs.values() if run.slot])
    steps = AnswerSteps(conversation, files=True)
    attached = files_of_conversation(conversation)
    return {
        "id": str(conversation.pk),
        "title": conversation.title,
        "role": member.role,
        "model": conversation.model,
        "system_prompt": "" if is_viewer else conversation.system_prompt,
        "temperature": conversation.temperature,
        "max_tokens": conversation.max_tokens,
        "effort": conversation.effort or None,
        "created_at": conversation.created_at.isoformat(),
        "updated_at": conversation.updated_at.isoformat(),
        "pinned": conversation.pinned_at is not None,
        "temporary": conversation.temporary,
        "deleted_at": conversation.deleted_at.isoformat() if conversation.deleted_at and not is_viewer else None,
        "tip": str(tip) if (tip := member.tip_id or conversation.tip_id) else None,
        "messages": [
            {
                "id": str(message.pk),
                "parent_id": str(message.parent_id) if message.parent_id else None,
                "role": message.role,
                "mine": message.author_id == member.user_id,
                "text": message.text,
                "status": message.status,
                "finish": runs[message.pk].finish or None if message.pk in runs else None,
                "created_at": message.created_at.isoformat(),
                **_changed(message),
                **attached.get(message.pk, {}),
                **_answered_by(runs.get(message.pk)),
                **cited_by(runs.get(message.pk)),
                **_compared(comparisons.get(message.pk)),
                **steps.data_of(message),
                **({"reasoning": thought.get(message.pk)} if reasoning else {}),
            }
            for message in Message.objects.filter(conversation=conversation).order_by("created_at", "id")
        ],
        **_waiting(member),
    }


def _waiting(member: Member) -> dict[str, Any]:
    """The messages that wait for their turn, if there are any, as the member sees them."""
    rows = QueuedMessage.objects.filter(conversation=member.conversation_id, state=QueuedState.WAITING)
    found = [
        {
            "id": str(row.pk),
            "mine": row.author_id == member.user_id,
            "text": row.text if row.author_id == member.user_id else row.shown or row.text,
            "created_at": row.created_at.isoformat(),
        }
        for row in rows.order_by("position", "id")
    ]
    return {"queued": found} if found else {}


def _changed(message: Message) -> dict[str, Any]:
    if message.deleted_at is not None:
        return {"deleted": True}
    return {"edited_at": message.edited_at.isoformat()} if message.edited_at else {}


def _answered_by(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    return {"model": run.model, "slot": run.slot} if run.slot else {"model": run.model}


def _compared(comparison: Comparison | None) -> dict[str, Any]:
    if comparison is None:
        return {}
    chosen = str(comparison.chosen_id) if comparison.chosen_id else None
    return {"comparison": {"size": comparison.size, "chosen": chosen}}


def _recordings(user: User) -> Iterator[dict[str, Any]]:
    for recording in Recording.objects.filter(user=user).prefetch_related("utterances").order_by("created_at"):
        yield {
            "id": str(recording.pk),
            "created_at": recording.created_at.isoformat(),
            "language": recording.language,
            "audio_wav": audio_files.as_base64(recording),
            "utterances": [
                {"text": utterance.text, "start_ms": utterance.start_ms, "end_ms": utterance.end_ms}
                for utterance in sorted(recording.utterances.all(), key=lambda one: one.number)
            ],
        }
