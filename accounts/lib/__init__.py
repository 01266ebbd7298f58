"""What every process needs and that knows of no model: Redis, ids, encryption, rate limits, formatting."""
