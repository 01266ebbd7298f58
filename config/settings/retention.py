"""How long data is kept where no plan says otherwise (docs/operations.md), and how long one clean-up may take.

`chat.retention` applies it. How long an erasure can be cancelled is in `config.settings.accounts`.
"""

from __future__ import annotations

from config.env import at_least
from config.settings.environment import env

PURGE_SECONDS = env.float("PURGE_SECONDS", 600.0, validate=at_least(1))  # maximum seconds of one clean-up
KEEP_DELETED_DAYS = env.int("KEEP_DELETED_DAYS", 30, validate=at_least(0))  # how long a deletion can be undone
TRASH_DELETE_NOW = env.bool("TRASH_DELETE_NOW", True)  # people may delete from their trash before that
TEMPORARY_HOURS = env.int("TEMPORARY_HOURS", 24, validate=at_least(1))  # after a temporary chat's last message
KEEP_SUBMISSION_DAYS = env.int("KEEP_SUBMISSION_DAYS", 7, validate=at_least(1))  # how long idempotency records are kept
KEEP_REVISION_DAYS = env.int("KEEP_REVISION_DAYS", 30, validate=at_least(0))  # texts from before an edit or a deletion
# Days that results of tools are kept, and files that tools made; None: as long as their conversation.
KEEP_TOOL_OUTPUT_DAYS = env.int("KEEP_TOOL_OUTPUT_DAYS", None, validate=at_least(0))
EXPORT_DAYS = env.int("EXPORT_DAYS", 3, validate=at_least(1))  # how long a prepared export can be downloaded
KEEP_RECORDING_DAYS = env.int("KEEP_RECORDING_DAYS", 30, validate=at_least(1))  # transcripts
KEEP_WEBHOOK_DAYS = env.int("KEEP_WEBHOOK_DAYS", 30, validate=at_least(1))  # the log of deliveries
BACKUP_DAYS = env.int("BACKUP_DAYS", 2, validate=at_least(0))  # a last backup that is older is a problem; 0: never
