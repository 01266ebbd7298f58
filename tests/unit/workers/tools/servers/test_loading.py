"""The client of MCP servers is loaded when a server is used, and not before."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import django, sys
django.setup()
import workers.tasks
loaded = {name.split(".")[0] for name in sys.modules}
sys.exit(f"loaded: {loaded & {'mcp', 'mcp_types', 'pydantic', 'jsonschema', 'starlette'}}" if "mcp" in loaded else 0)
"""


def test_a_worker_starts_without_the_client() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
