"""A user's message becomes a run; a run is stopped."""
