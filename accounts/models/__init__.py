"""Users, sessions, invitations, the audit log; plans, quotas and usage."""

from accounts.models.api_tokens import ApiToken, TokenScope
from accounts.models.approvals import ActKind, ActState, PendingAct
from accounts.models.audit import AuditEntry, AuditSeal
from accounts.models.budgets import Budget, UsageReport
from accounts.models.choices import QuotaPeriod, Unit, Unwatched
from accounts.models.quotas import Allowance, Plan, Quota, Reservation, TopUp
from accounts.models.scim import ScimResource, ScimToken
from accounts.models.site import BannerKind, SiteSettings, TermsAcceptance
from accounts.models.usage import DailyUsage, Price, UsageEntry
from accounts.models.users import Invitation, MentionMails, Session, User, UserManager, UserQuerySet

__all__ = [
    "ActKind",
    "ActState",
    "Allowance",
    "ApiToken",
    "AuditEntry",
    "AuditSeal",
    "BannerKind",
    "Budget",
    "DailyUsage",
    "Invitation",
    "MentionMails",
    "PendingAct",
    "Plan",
    "Price",
    "Quota",
    "QuotaPeriod",
    "Reservation",
    "ScimResource",
    "ScimToken",
    "Session",
    "SiteSettings",
    "TermsAcceptance",
    "TokenScope",
    "TopUp",
    "Unit",
    "Unwatched",
    "UsageEntry",
    "UsageReport",
    "User",
    "UserManager",
    "UserQuerySet",
]
