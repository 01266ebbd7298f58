"""The state machine of a run: claim, renew, end, close, expire; its steps and calls, and the wait for approval."""
