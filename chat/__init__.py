"""Conversations: models, event log, runs, sockets, pages and the admin of them."""
