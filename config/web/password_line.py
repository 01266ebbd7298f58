"""The line in which requests wait that check or set a password.

A password takes a tenth of a second of CPU time and 100 MB, whether it is right or not. Strangers who guess from many
networks would otherwise hold all threads on which pages are made, and everybody would wait for them.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from django.http import HttpRequest

from accounts.lib.rate_limit import network_of

THREADS: Final = 2  # of their own, beside those of the other pages
MOST: Final = 100  # of one process, with those whose turn it is
MOST_OF_NETWORK: Final = 20
RETRY_SECONDS: Final = 10  # for whoever finds the line full

_REFUSED: Final = "refused_for_seconds"  # an attribute of a request
_PATHS: Final = re.compile(r"/(?:accounts/(?:login|signup|password|reauthenticate|delete|2fa)/|s/)")


def checks_password(request: HttpRequest) -> bool:
    """Whether a password may be checked or set for the request."""
    return request.method == "POST" and _PATHS.match(request.path_info) is not None


def refuse(request: HttpRequest) -> None:
    """Has `config.web.rates` refuse the request before its view is asked."""
    setattr(request, _REFUSED, RETRY_SECONDS)


def refused_for(request: HttpRequest) -> int:
    """After how many seconds a request that was refused may be sent again; 0: it was not."""
    seconds: int = getattr(request, _REFUSED, 0)
    return seconds


class PasswordLine:
    """Who is in the line of a process. Used on its event loop only. Clients have the address that the trusted proxies
    report (`config.web.server`).
    """

    def __init__(self) -> None:
        self._of_network: Counter[str] = Counter()

    @contextlib.contextmanager
    def place(self, request: HttpRequest) -> Iterator[bool]:
        """Keeps a place for the request; False if there is none."""
        network = network_of(request.META.get("REMOTE_ADDR") or "")
        if self._of_network.total() >= MOST or self._of_network[network] >= MOST_OF_NETWORK:
            yield False
            return
        self._of_network[network] += 1
        try:
            yield True
        finally:
            self._of_network[network] -= 1
            self._of_network += Counter()  # forgets networks of which nobody waits
