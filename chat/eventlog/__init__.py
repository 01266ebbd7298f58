"""A conversation's event log: appending, reading, replaying, and what its events hold."""
