"""Packages that no process loads when it starts: some few requests need them, and each start would take longer."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

PARSER: Final = {"markdown_it", "nh3"}  # only the rendering process: so no request can render
WORKBOOKS: Final = {"openpyxl", "numpy", "PIL"}  # what tablib would load for import_export
SELDOM: Final = {"phonenumbers", "jsonschema", "ninja", "boto3", "tokenizers", "mcp", "webpush", "standardwebhooks"}


def test_a_start_loads_none_of_them() -> None:
    """What pages, sockets, commands and workers import."""
    code = (
        "import django, sys; django.setup();"
        "import chat.urls, config.urls, config.asgi, chat.realtime.consumer, chat.recovery.reaper;"
        "import chat.portability.importer, chat.templatetags.chat_page, workers.runtime.loop, config.staff.handbook;"
        f"print(sorted({PARSER | WORKBOOKS | SELDOM!r} & sys.modules.keys()))"
    )
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert found.stdout.strip().splitlines()[-1] == "[]"
