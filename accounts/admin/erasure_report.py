"""Labels of the numbers in `UserData.report` on the pages of an erasure."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext_lazy as _

REPORT: Final = {  # the labels of `UserData.report`, in order
    "conversations_deleted": _("conversations without other members, deleted"),
    "conversations_left": _("shared conversations, kept for the other members"),
    "conversations_handed_over": _("of these, transferred to another owner"),
    "messages_blanked": _("messages in shared conversations, text replaced by “(erased)”"),
    "queued_messages_deleted": _("queued messages, deleted"),
    "recordings_deleted": _("voice recordings, deleted"),
    "presets_deleted": _("own presets, deleted, including shared ones"),
    "prompts_deleted": _("own prompts, deleted, including shared ones"),
    "devices_deleted": _("devices registered for notifications, deleted"),
    "share_links_deleted": _("share links, deleted"),
    "tool_calls_blanked": _("tool calls in shared conversations, arguments, results and files removed"),
    "tool_approvals_deleted": _("tool approvals, deleted"),
    "sessions_ended": _("sessions, ended"),
    "audit_entries_kept": _("audit log entries of their actions as staff, kept"),
}
