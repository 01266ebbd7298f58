"""Helpers of every process that use no model: Redis, database, ids, encryption, rate limits, formatting."""
