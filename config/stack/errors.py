"""What goes wrong when a stack is started, said to the person who started it."""

from __future__ import annotations


class StackError(Exception):
    """One sentence: what is wrong, and the way out."""
