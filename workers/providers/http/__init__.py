"""What the dialects share: HTTP, retries, timeouts, refusals, errors, and how bytes become an answer."""
