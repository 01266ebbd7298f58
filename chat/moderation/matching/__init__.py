"""Finds words, patterns and personal data in text. Pure: no database, no network, linear in the length of the text.

`forms` makes the two forms of a text that are searched, `words`, `disguised`, `patterns` and `pii` each search one of
them, `matcher` puts them together for a set of rules, and `stream` does so for an answer that is still being written.
"""
