"""A FastMCP server with its in-memory OAuth provider, as its documentation shows it. Run by `.venv-tools`' Python."""

from __future__ import annotations

import sys

from fastmcp import FastMCP
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider
from mcp.server.auth.settings import ClientRegistrationOptions, RevocationOptions

port = int(sys.argv[1])
auth = InMemoryOAuthProvider(
    base_url=f"http://127.0.0.1:{port}",
    client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["use"], default_scopes=["use"]),
    revocation_options=RevocationOptions(enabled=True),
    required_scopes=["use"],
)
server = FastMCP("Fast", auth=auth)


@server.tool
def shout(text: str) -> str:
    """Writes a text in capital letters."""
    return text.upper()


server.run(transport="http", host="127.0.0.1", port=port, show_banner=False)
