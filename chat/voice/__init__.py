"""Recordings: their rows, the audio that comes in, the audio that is kept."""
