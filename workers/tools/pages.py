"""The title and the main text of a web page, found by a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import msgspec
import structlog

from accounts.lib.per_loop import PerLoop
from chat.markdown.pool import KEPT_VARIABLES
from workers.tools.base import ToolError

AT_ONCE: Final = 2  # processes of one worker
SECONDS: Final = 15.0
BASE_DIR: Final = Path(__file__).resolve().parents[2]
NOT_READ: Final = "The page could not be read: it may be made in an unusual way."

logger = structlog.get_logger(__name__)


class Page(msgspec.Struct, frozen=True):
    """What a page says. `text` is Markdown."""

    title: str
    text: str


_decode = msgspec.json.Decoder(Page).decode
_slots: Final = PerLoop(lambda: asyncio.Semaphore(AT_ONCE))


async def find_main_text(html: str, address: str) -> Page:
    """The main text of a page. Cancelling it ends the process. Raises `ToolError`."""
    async with _slots():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers.tools.page_process", address,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            cwd=BASE_DIR, env={name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
        )  # fmt: skip
        try:
            async with asyncio.timeout(SECONDS):
                output, _ = await process.communicate(html.encode("utf-8", "replace"))
        except TimeoutError:
            logger.warning("page_reading_killed", characters=len(html))
            raise ToolError(NOT_READ) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    try:
        return _decode(output)
    except msgspec.DecodeError:
        logger.warning("page_not_read", characters=len(html), status=process.returncode)
        raise ToolError(NOT_READ) from None
