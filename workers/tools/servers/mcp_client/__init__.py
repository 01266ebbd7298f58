"""The client of MCP servers. Only this folder imports the package `mcp`, and it is imported when a server is used."""
