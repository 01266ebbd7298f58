"""Files that people attach (docs/files.md): sizes, how many, where they are stored, and the virus scanner."""

from __future__ import annotations

from typing import Any

from environs import validate

from config.env import at_least
from config.settings.environment import VAR_DIR, a_rate, env

FILE_MAX_MB = env.int("FILE_MAX_MB", 64, validate=at_least(0))  # of one file, where no plan says otherwise; 0: none
FILES_PER_MESSAGE = env.int("FILES_PER_MESSAGE", 10, validate=validate.Range(min=0, max=50))
STORAGE_MB = env.int("STORAGE_MB", 2_000, validate=at_least(0))  # of one user's files; 0: no limit
UPLOADS_PER_USER = env.int("UPLOADS_PER_USER", 50, validate=at_least(1))  # not finished, at once
RATE_UPLOADS: str = env.str("RATE_UPLOADS", "1200/m", validate=a_rate)  # requests of one user that upload
UPLOAD_HOURS = env.int("UPLOAD_HOURS", 24, validate=at_least(1))  # an upload, or a file of no message, is kept
# Where the storage of files, recordings and exports is: a bucket that speaks S3. Empty: the folder media in VAR_DIR.
S3_BUCKET: str = env.str("S3_BUCKET", "")
FILES_IN_S3 = bool(S3_BUCKET)
S3_ADDRESSING_STYLE: str = env.str("S3_ADDRESSING_STYLE", "auto", validate=validate.OneOf(["auto", "path", "virtual"]))
S3_OPTIONS: dict[str, Any] = {
    "bucket_name": S3_BUCKET,
    "endpoint_url": env.str("S3_ENDPOINT_URL", "") or None,
    "region_name": env.str("S3_REGION", "") or None,
    "access_key": env.str("S3_ACCESS_KEY", "") or None,  # empty: as boto3 finds them (a role, its own variables)
    "secret_key": env.str("S3_SECRET_KEY", "") or None,
    "location": env.str("S3_PREFIX", ""),
    "default_acl": None,
    "file_overwrite": False,
    "max_memory_size": 1024 * 1024,  # of what is read; the rest is in a file
}


def s3_client_config() -> Any:
    """Short timeouts and few repetitions: somebody waits for each request, and may send it again."""
    from botocore.config import Config

    return Config(
        connect_timeout=5, read_timeout=30, retries={"max_attempts": 2}, s3={"addressing_style": S3_ADDRESSING_STYLE}
    )  # fmt: skip


if FILES_IN_S3:
    S3_OPTIONS["client_config"] = s3_client_config()
DEFAULT_STORAGE: dict[str, Any] = (
    {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": S3_OPTIONS}
    if FILES_IN_S3
    else {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": VAR_DIR / "media"}}
)
FILE_WAIT_SECONDS = env.float("FILE_WAIT_SECONDS", 60.0, validate=at_least(0))  # an answer waits for files to be read
# An answer waits for the vectors of attached files that are too long for its model, where there is an embedding model.
EMBEDDING_WAIT_SECONDS = env.float("EMBEDDING_WAIT_SECONDS", 5.0, validate=at_least(0))
# Text in pictures and scans: auto (the package of requirements/ocr.txt, if installed), off, or the path of a class of
# one's own with the method of `workers.files.recognition.lines.Recogniser`.
OCR: str = env.str("OCR", "auto", validate=validate.Regexp(r"^(auto|off|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+)$"))
# host:port or a socket's path of clamd; empty: files are not scanned.
CLAMAV: str = env.str("CLAMAV", "")
CLAMAV_SECONDS = env.float("CLAMAV_SECONDS", 60.0, validate=at_least(1))  # that one file may take
