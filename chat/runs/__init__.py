"""The state machine of a run: claim, renew, end, close, expire."""
