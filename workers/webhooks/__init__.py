"""Sends the events of webhooks (`chat.webhooks`)."""
