"""Model servers that others wrote, run for real: `make test-servers` (not part of `make test`).

They have an environment of their own, `.venv-servers` (requirements/servers.txt), and talk to loopback only.
"""
