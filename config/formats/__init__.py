"""Formats of dates and numbers that differ from Django's own (`FORMAT_MODULE_PATH`)."""
