"""Conversations, folders, messages, runs, files, collections, recordings, presets, prompts, moderation, push."""

from chat.models.api import ApiRequest
from chat.models.asking import Mention, Unannounced, Unjudged
from chat.models.catalog import FavouriteModel, KnownModel, ModelChoice, Visibility
from chat.models.collections import Collection
from chat.models.comparisons import Comparison
from chat.models.conversations import Answers, Conversation, Member, Role
from chat.models.embeddings import Embedding, EmbeddingState, PassageVectors
from chat.models.files import (
    Attachment,
    Blob,
    File,
    FileKind,
    FileState,
    FileText,
    FileUse,
    FileUseKind,
    Recognition,
    RecognitionState,
    Upload,
)
from chat.models.instructions import MAX_INSTRUCTIONS, Instructions
from chat.models.join_links import JoinLink
from chat.models.messages import Message
from chat.models.moderation import ModerationCase, ModerationDecision, ModerationReport, ModerationRule
from chat.models.organising import Folder, Tag
from chat.models.periodic import PeriodicJob
from chat.models.presets import MAX_PROMPT, Preset
from chat.models.prompts import Prompt
from chat.models.push import PushSubscription
from chat.models.queued import QueuedMessage, QueuedState
from chat.models.ratings import Rating
from chat.models.recordings import Recording, Utterance
from chat.models.revisions import Revision, RevisionKind
from chat.models.rewritten import Rewritten
from chat.models.runs import Reasoning, Run, Submission
from chat.models.search import ConversationWords, MessageWords
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
from chat.models.tool_rules import KnownTool, ToolApproval, ToolPolicy, ToolSwitch
from chat.models.tool_servers import ConnectionState, ServerAuth, ServerKind, ToolConnection, ToolServer
from chat.models.tools import (
    CALL_ENDED,
    Approval,
    CallStatus,
    Decision,
    Step,
    StepKind,
    StepStatus,
    ToolCall,
    ToolDecision,
    ToolEffect,
    ToolFile,
)
from chat.models.transfers import (
    ExportJob,
    ImportedCollection,
    ImportedConversation,
    ImportJob,
    StaffExport,
    TransferState,
)
from chat.models.webhooks import DeliveryState, Webhook, WebhookDelivery, WebhookEvent

__all__ = [
    "ACTIVE",
    "CALL_ENDED",
    "FAILED",
    "MAX_INSTRUCTIONS",
    "MAX_PROMPT",
    "SLOW_MS",
    "UNDER_WAY",
    "Answers",
    "ApiRequest",
    "Approval",
    "Attachment",
    "Blob",
    "CallStatus",
    "Collection",
    "Comparison",
    "ConnectionState",
    "Consequence",
    "Conversation",
    "ConversationWords",
    "Decision",
    "DeliveryState",
    "Effort",
    "Embedding",
    "EmbeddingState",
    "ExportJob",
    "FavouriteModel",
    "File",
    "FileKind",
    "FileState",
    "FileText",
    "FileUse",
    "FileUseKind",
    "Finish",
    "Folder",
    "ImportJob",
    "ImportedCollection",
    "ImportedConversation",
    "Instructions",
    "JoinLink",
    "KnownModel",
    "KnownTool",
    "Member",
    "Mention",
    "Message",
    "MessageRole",
    "MessageStatus",
    "MessageWords",
    "ModelChoice",
    "ModerationCase",
    "ModerationDecision",
    "ModerationReport",
    "ModerationRule",
    "PassageVectors",
    "PeriodicJob",
    "PolicyStep",
    "Preset",
    "Prompt",
    "PushSubscription",
    "QueuedMessage",
    "QueuedState",
    "Rating",
    "Reasoning",
    "Recognition",
    "RecognitionState",
    "Recording",
    "RecordingStatus",
    "Revision",
    "RevisionKind",
    "Rewritten",
    "Role",
    "Run",
    "RunStatus",
    "ServerAuth",
    "ServerKind",
    "ShareAudience",
    "ShareKind",
    "ShareLink",
    "SharedMessage",
    "StaffExport",
    "Step",
    "StepKind",
    "StepStatus",
    "Strike",
    "StrikeScale",
    "Submission",
    "Summary",
    "Tag",
    "ToolApproval",
    "ToolCall",
    "ToolConnection",
    "ToolDecision",
    "ToolEffect",
    "ToolFile",
    "ToolPolicy",
    "ToolServer",
    "ToolSwitch",
    "TransferState",
    "Unannounced",
    "Unjudged",
    "Upload",
    "Utterance",
    "Visibility",
    "WaitingFor",
    "Webhook",
    "WebhookDelivery",
    "WebhookEvent",
]
