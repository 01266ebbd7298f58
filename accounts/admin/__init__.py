"""The admin pages of users, plans, invitations, roles, the site and the audit log. Importing this registers them."""

from accounts.staff import csv_only as csv_only  # isort: skip -- before anything imports import_export
from accounts.admin import api_tokens, audit, budgets, invitations, pending_acts, plans, roles, scim_tokens, site, users

__all__ = [
    "api_tokens",
    "audit",
    "budgets",
    "invitations",
    "pending_acts",
    "plans",
    "roles",
    "scim_tokens",
    "site",
    "users",
]
