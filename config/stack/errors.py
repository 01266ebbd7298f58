"""Errors while starting a stack, with messages for the operator."""

from __future__ import annotations


class StackError(Exception):
    """One sentence: what is wrong, and the way out."""
