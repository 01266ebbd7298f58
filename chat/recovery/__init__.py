"""Mends what a crash left behind: expired leases, lost jobs, unclosed runs."""
