"""Cookies of tests' log-ins, which are rate-limited, by the address of a stack and the person's email.

They are forgotten with the stack: another one may get its port, and does not know them.
"""

from __future__ import annotations

from collections.abc import Iterable

kept: dict[tuple[str, str], dict[str, str]] = {}


def forget(urls: Iterable[str]) -> None:
    """Nobody is logged in at these addresses any more."""
    ended = set(urls)
    for place in [place for place in kept if place[0] in ended]:
        del kept[place]
