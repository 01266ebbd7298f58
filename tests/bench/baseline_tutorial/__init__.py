"""Chat as the tutorials of Channels and Celery put it together, unchanged on purpose: the second baseline.

The default Redis channel layer, Daphne, a prefork worker that sends each token with `async_to_sync(group_send)`.
"""
