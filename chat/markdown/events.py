"""Log events of the process that renders: a line of JSON each on stderr, as structlog writes them elsewhere.

structlog is not loaded for it. It loads asyncio, Twisted's log and more: four fifths of the time in which this process
starts, of which each worker has two.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


def log(level: str, event: str, **fields: str | int) -> None:
    """Writes an event with the time. No text of a person's is among its fields."""
    time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    sys.stderr.write(json.dumps({**fields, "event": event, "level": level, "timestamp": time}) + "\n")
    sys.stderr.flush()
