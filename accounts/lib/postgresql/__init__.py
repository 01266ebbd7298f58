"""The database engine: Django's own for PostgreSQL, with a pool that notices a restart."""
