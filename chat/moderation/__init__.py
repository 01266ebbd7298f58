"""Moderation: rules and what they find, screening of texts, cases, and texts that are withheld later."""
