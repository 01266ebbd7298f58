"""The environment of the processes that `manage.py up` starts: each has only the secrets that it needs.

`up` has read `.env` already, so the others do not read it.
"""

from __future__ import annotations

import os
from typing import Final

# What only some kinds of process need. `prepare` gets ADMIN_PASSWORD by itself.
SECRETS: Final[dict[str, tuple[str, ...]]] = {
    "ADMIN_PASSWORD": (),
    "OPENAI_API_KEY": ("worker",),
    "OPENAI_FALLBACK_API_KEY": ("worker",),
    "OPENAI_EXTRAS": ("worker",),
    "ANTHROPIC_API_KEY": ("worker",),
    "GEMINI_API_KEY": ("worker",),
    "OPENAI_REALTIME_API_KEY": ("worker",),
    "TRANSCRIPTION_API_KEY": ("worker",),
    "DEEPGRAM_API_KEY": ("worker",),
    "ASSEMBLYAI_API_KEY": ("worker",),
    "SPEECHMATICS_API_KEY": ("worker",),
    "SPEECH_API_KEY": ("worker",),
    "METRICS_TOKEN": ("web", "worker"),
    "EMAIL_HOST_PASSWORD": ("web", "worker"),
    "VAPID_PRIVATE_KEY": ("web", "worker"),  # pages show the public half
}
# The pages only say whether there is a key.
MASKED: Final = ("OPENAI_API_KEY", "OPENAI_FALLBACK_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")
MASK: Final = "kept-from-this-process"
SERVER_VARIABLES: Final = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "HOME")


def child_environment() -> dict[str, str]:
    """This process's environment without what only some of its children need. `.env` is not read a second time."""
    kept = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return {**kept, "ANTIPHON_ENV_FILE": os.devnull}


def secrets_of(kind: str) -> dict[str, str]:
    """The variables that a process of this kind (`web` or `worker`) has beside `child_environment`."""
    found = {name: os.environ[name] for name, kinds in SECRETS.items() if kind in kinds and name in os.environ}
    if kind == "web":
        found |= {name: MASK for name in MASKED if os.environ.get(name)}
    return found


def server_environment() -> dict[str, str]:
    """What a private PostgreSQL or Valkey needs: nothing that points it elsewhere, and no secret."""
    kept = {name: os.environ[name] for name in SERVER_VARIABLES if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
