"""Searches of the web by the providers that staff set up."""
