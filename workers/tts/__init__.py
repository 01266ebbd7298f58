"""Speech synthesis: one interface, one backend a file."""
