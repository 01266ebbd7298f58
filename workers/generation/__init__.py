"""Carries out one run: reads the context, streams the answer, stores its end."""
