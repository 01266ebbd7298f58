"""Who sends a body that is too large, all of it before reading, gets the answer: as nginx does with a buffered body."""

from __future__ import annotations

import socket

from tests.stack import Stack

SIZE = 22 << 20  # more than MAX_REQUEST_MB, and than the buffers of a connection hold


def test_the_refusal_reaches_who_sends_all_of_the_body_first(stack: Stack) -> None:
    """Before, the connection was closed at once, and reset by what still came: the answer was lost."""
    head = b"POST /ws/ticket/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % SIZE
    with socket.create_connection(("127.0.0.1", stack.webs[0].port), timeout=30) as connection:
        connection.sendall(head + b" " * SIZE)
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413 ")
