"""The admin pages of endpoints and judges."""

from workers.admin import endpoints, judges  # noqa: F401 -- they register their pages
