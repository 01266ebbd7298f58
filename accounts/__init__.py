"""Users, sessions, quotas and the admin site: who may do what. Imports no other app."""
