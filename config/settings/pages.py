"""Static files and languages."""

from __future__ import annotations

from config.settings.environment import VAR_DIR, env

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
# File names contain a hash of the content, so browsers can cache them for ever. Tests serve the original files.
STATIC_VERSIONED = env.bool("STATIC_VERSIONED", True)
_STATICFILES = (
    "servestatic.storage.CompressedManifestStaticFilesStorage"
    if STATIC_VERSIONED
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR_DIR / "media"}},
    "staticfiles": {"BACKEND": _STATICFILES},
}
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o600, 0o700  # recordings, and what prepare collects
SERVESTATIC_USE_FINDERS = not STATIC_VERSIONED
SERVESTATIC_ALLOW_ALL_ORIGINS = False
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]  # others once their catalogues are complete
TIME_ZONE = "UTC"
USE_TZ = True
