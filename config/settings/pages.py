"""Static files and languages."""

from __future__ import annotations

from config.settings.environment import BASE_DIR, VAR_DIR, env
from config.settings.files import DEFAULT_STORAGE

STATIC_URL = "/static/"
STATIC_ROOT = env.path("STATIC_ROOT", VAR_DIR / "static")  # `manage.py prepare` fills it
# Scripts and style sheets are bundled, and names contain a hash of the content, so browsers can cache files for ever.
# Without it, files are served as they were written.
STATIC_VERSIONED = env.bool("STATIC_VERSIONED", True)
# The files are in STATIC_ROOT already, which may be read-only: an image brings them, and `prepare` leaves them alone.
STATIC_COLLECTED = env.bool("STATIC_COLLECTED", False)
_STATICFILES = (
    "config.bundling.storage.BundledStaticFilesStorage"
    if STATIC_VERSIONED
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": DEFAULT_STORAGE,
    "staticfiles": {"BACKEND": _STATICFILES},
}
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o600, 0o700  # recordings, and what prepare collects
SERVESTATIC_USE_FINDERS = not STATIC_VERSIONED
SERVESTATIC_ALLOW_ALL_ORIGINS = False
SERVESTATIC_KEEP_ONLY_HASHED_FILES = True
# Compressed already, or, as source maps, read by developers only.
SERVESTATIC_SKIP_COMPRESS_EXTENSIONS = ("gif", "jpg", "jpeg", "png", "webp", "woff", "woff2", "br", "gz", "zip", "map")
LANGUAGE_CODE = "en"
# Those whose catalogue is complete, by their own names; a test holds each to it. `manage.py translations` keeps them.
LANGUAGES = [
    ("en", "English"),
    ("de", "Deutsch"),
    ("es", "Español"),
    ("fr", "Français"),
    ("pt-br", "Português (Brasil)"),
    ("zh-hans", "简体中文"),
    ("ja", "日本語"),
    ("ar", "العربية"),
]
ADMIN_LANGUAGES = ("en", "de", "es", "fr", "pt-br", "zh-hans", "ja", "ar")  # whose admin is complete; others: English
PAGES_LOCALE, ADMIN_LOCALE = BASE_DIR / "config/locale/pages", BASE_DIR / "config/locale/admin"
LOCALE_PATHS = [PAGES_LOCALE, ADMIN_LOCALE]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_SAMESITE = "Lax"
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = "UTC"
USE_TZ = True
