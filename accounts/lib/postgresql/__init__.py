"""The database engine: Django's own for PostgreSQL, with a pool that detects restarts of the server."""
