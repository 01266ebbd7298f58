"""Which trials of a fuzz test run: the same few each time, or with `FUZZ=all` in the environment every one of them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import Final, TypeVar

SEED: Final = 12
T = TypeVar("T")


def some(trials: Iterable[T], most: int) -> list[T]:
    """`most` of the trials, chosen by a fixed seed and in their order, or all of them."""
    every = list(trials)
    if os.environ.get("FUZZ") == "all" or len(every) <= most:
        return every
    chosen = random.Random(SEED).sample(range(len(every)), most)
    return [every[number] for number in sorted(chosen)]
