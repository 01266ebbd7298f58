"""Secrets from files: of systemd's credentials, of Docker's and Kubernetes' secrets.

A secret in the environment is seen by whoever may look at the process, the container or the unit. Each setting in
`SECRETS` may come from a file instead: the file that `<NAME>_FILE` names, or the credential of that name that systemd's
`LoadCredential` passes (`$CREDENTIALS_DIRECTORY/<NAME>`). The environment wins over a credential.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from django.core.exceptions import ImproperlyConfigured

SECRETS: Final = (
    "SECRET_KEY", "ENCRYPTION_KEYS", "VAPID_PRIVATE_KEY", "DATABASE_URL", "REDIS_URL", "EVENT_LOG_REDIS_URLS",
    "CACHE_REDIS_URL", "DATABASE_REPLICA_URL", "CELERY_BROKER_URL",
    "ADMIN_PASSWORD", "METRICS_TOKEN", "EMAIL_HOST_PASSWORD", "OPENAI_API_KEY", "OPENAI_FALLBACK_API_KEY",
    "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_REALTIME_API_KEY", "TRANSCRIPTION_API_KEY", "DEEPGRAM_API_KEY",
    "ASSEMBLYAI_API_KEY", "SPEECHMATICS_API_KEY", "SPEECH_API_KEY", "S3_ACCESS_KEY", "S3_SECRET_KEY",
)  # fmt: skip


def read_credentials(environ: MutableMapping[str, str]) -> None:
    """Puts the secrets of files into `environ`. Raises `ImproperlyConfigured` where a named file cannot be read, or
    where a setting has both a value and a file.
    """
    credentials = _credentials(environ.get("CREDENTIALS_DIRECTORY", ""))
    for name in SECRETS:
        variable = f"{name}_FILE"
        if file := environ.get(variable, ""):
            if environ.get(name):
                raise ImproperlyConfigured(f"{variable}: {name} is set, too. Only one of them can be meant")
            environ[name] = _read(variable, Path(file))
        elif name in credentials and not environ.get(name):
            environ[name] = _read("CREDENTIALS_DIRECTORY", credentials[name])
    for name in SECRETS:  # what this process starts has the values and must not read the files again
        environ.pop(f"{name}_FILE", None)


def _credentials(folder: str) -> dict[str, Path]:
    """The files in systemd's folder, by the setting."""
    if not folder:
        return {}
    files = sorted(Path(folder).iterdir())
    return {name: file for file in files for name in SECRETS if file.name == name or file.name.endswith(f"_{name}")}


def _read(variable: str, file: Path) -> str:
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ImproperlyConfigured(f"{variable}: {file} cannot be read ({reason})") from None
    if not text or "\0" in text:
        raise ImproperlyConfigured(f"{variable}: {file} is empty, or not a text")
    return text
