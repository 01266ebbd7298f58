"""Listening sockets."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import Final

from config.stack.errors import StackError

BACKLOG: Final = 1024


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `StackError` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except socket.gaierror:
        raise StackError(f"{host!r} is not an address of this machine: choose another with --host.") from None
    except OverflowError:
        raise StackError(f"{port} is not a port: choose one from 1 to 65535 with --port.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StackError(f"Port {port} on {host} is taken: choose another, e.g. --port {port + 1} "
                             f"(make up PORT={port + 1}).") from None  # fmt: skip
        if error.errno == errno.EACCES:
            raise StackError(f"Port {port} is for root only: choose one above 1023 with --port.") from None
        raise StackError(f"Cannot listen on {host}:{port}: {error.strerror}.") from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(host: str, port: int) -> str:
    """`http://host:port` as a browser on this machine writes it."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 -- compared, not bound
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
