"""The admin pages of endpoints, embedding models, judges and search providers."""

from workers.admin import embedders, endpoints, judges, search  # noqa: F401 -- they register their pages
