"""OpenAI-compatible APIs: client, request, stream, errors."""
