"""Moderation: what may not be asked, answered, spoken or named, who decides, and what became of it."""
