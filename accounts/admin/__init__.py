"""The admin pages of users, plans, invitations, roles and the audit log. Importing this registers them."""

from accounts.admin import audit, invitations, plans, roles, users

__all__ = ["audit", "invitations", "plans", "roles", "users"]
