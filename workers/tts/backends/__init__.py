"""The backends of `workers.tts`, one a file."""
