"""What the pages of an erasure say of each number in `UserData.report`."""

from __future__ import annotations

from typing import Final

REPORT: Final = {  # the labels of `UserData.report`, in order
    "conversations_deleted": "conversations without other members, deleted",
    "conversations_left": "shared conversations, kept for the other members",
    "conversations_handed_over": "of these, transferred to another owner",
    "messages_blanked": "messages in shared conversations, text replaced by “(erased)”",
    "queued_messages_deleted": "messages that wait for an answer to end, deleted",
    "recordings_deleted": "voice recordings, deleted",
    "presets_deleted": "presets of their own, deleted, also where they are shared",
    "prompts_deleted": "prompts of their own, deleted, also where they are shared",
    "devices_deleted": "devices that get notifications, forgotten",
    "share_links_deleted": "share links, deleted",
    "tool_calls_blanked": "calls of tools in shared conversations, without their arguments, results and files",
    "tool_approvals_deleted": "decisions to allow a tool, forgotten",
    "sessions_ended": "sessions, ended",
    "audit_entries_kept": "audit log entries of their actions as staff, kept",
}
