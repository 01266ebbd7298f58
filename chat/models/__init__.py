"""Conversations, messages, comparisons, summaries, runs, recordings, presets, prompts, moderation, and known models."""

from chat.models.catalog import FavouriteModel, KnownModel, ModelChoice, Visibility
from chat.models.comparisons import Comparison
from chat.models.conversations import Conversation, Member, Role
from chat.models.instructions import MAX_INSTRUCTIONS, Instructions
from chat.models.join_links import JoinLink
from chat.models.messages import Message
from chat.models.moderation import ModerationCase, ModerationDecision, ModerationReport, ModerationRule
from chat.models.presets import MAX_PROMPT, Preset
from chat.models.prompts import Prompt
from chat.models.recordings import Recording, Utterance
from chat.models.rewritten import Rewritten
from chat.models.runs import Reasoning, Run, Submission
from chat.models.share_links import ShareAudience, SharedMessage, ShareKind, ShareLink
from chat.models.statuses import (
    ACTIVE,
    FAILED,
    SLOW_MS,
    UNDER_WAY,
    Effort,
    Finish,
    MessageRole,
    MessageStatus,
    RecordingStatus,
    RunStatus,
    WaitingFor,
)
from chat.models.strikes import Consequence, PolicyStep, Strike, StrikeScale
from chat.models.summaries import Summary

__all__ = [
    "ACTIVE",
    "FAILED",
    "MAX_INSTRUCTIONS",
    "MAX_PROMPT",
    "SLOW_MS",
    "UNDER_WAY",
    "Comparison",
    "Consequence",
    "Conversation",
    "Effort",
    "FavouriteModel",
    "Finish",
    "Instructions",
    "JoinLink",
    "KnownModel",
    "Member",
    "Message",
    "MessageRole",
    "MessageStatus",
    "ModelChoice",
    "ModerationCase",
    "ModerationDecision",
    "ModerationReport",
    "ModerationRule",
    "PolicyStep",
    "Preset",
    "Prompt",
    "Reasoning",
    "Recording",
    "RecordingStatus",
    "Rewritten",
    "Role",
    "Run",
    "RunStatus",
    "ShareAudience",
    "ShareKind",
    "ShareLink",
    "SharedMessage",
    "Strike",
    "StrikeScale",
    "Submission",
    "Summary",
    "Utterance",
    "Visibility",
    "WaitingFor",
]
