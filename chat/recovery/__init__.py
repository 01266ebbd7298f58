"""Recovers after a crash: expired leases, lost jobs, missing closing events."""
