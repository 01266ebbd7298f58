"""The admin pages of endpoints, judges and search providers."""

from workers.admin import endpoints, judges, search  # noqa: F401 -- they register their pages
