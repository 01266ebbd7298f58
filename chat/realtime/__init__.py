"""WebSockets: the consumer, connections, subscriptions, presence, microphones, rate limits. `watching`: live shares."""
