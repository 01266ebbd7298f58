"""Finds the main text of one web page: `python -m workers.tools.page_process <address>`.

HTML (UTF-8) comes in by standard input, JSON with `title` and `text` (Markdown) goes out. A process of its own with
limits of memory and time, without the site's settings: a page may be made to harm the parser.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys

CPU_SECONDS = 10
MEMORY_BYTES = 1024 * 1024 * 1024  # address space
MAX_TEXT = 500_000  # characters


def set_limits() -> None:
    """Limits this process."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # macOS has no limit of the address space
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def find_text(page: str, address: str) -> dict[str, str]:
    """The title and the main text of a page; what is all of its text where no main part is found."""
    import trafilatura  # loaded after the limits are set

    text = trafilatura.extract(
        page, url=address, output_format="markdown", with_metadata=False, include_comments=False, include_tables=True
    )
    about = trafilatura.extract_metadata(page, default_url=address)
    title = about.title or ""
    return {"title": title[:300], "text": (text or trafilatura.html2txt(page))[:MAX_TEXT]}


if __name__ == "__main__":
    set_limits()
    read = sys.stdin.buffer.read().decode("utf-8", "replace")
    sys.stdout.write(json.dumps(find_text(read, sys.argv[1])))
