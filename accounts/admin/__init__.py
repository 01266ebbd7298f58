"""The admin pages of users, plans, invitations, roles, the site and the audit log. Importing this registers them."""

from accounts.admin import audit, invitations, plans, roles, site, users

__all__ = ["audit", "invitations", "plans", "roles", "site", "users"]
