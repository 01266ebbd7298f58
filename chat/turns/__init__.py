"""A user's message becomes a run, waits, or asks nobody; a run is stopped; a message is edited or deleted."""
