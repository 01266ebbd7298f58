"""Webhooks: what is told to other systems. `workers.webhooks` sends it."""
