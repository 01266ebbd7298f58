"""The admin pages of users, plans, invitations, roles, the site and the audit log. Importing this registers them."""

from accounts.admin import api_tokens, audit, budgets, invitations, plans, roles, site, users

__all__ = ["api_tokens", "audit", "budgets", "invitations", "plans", "roles", "site", "users"]
