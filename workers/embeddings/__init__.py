"""Embedding models: vectors of passages and questions, by any endpoint with OpenAI's `/v1/embeddings`."""
