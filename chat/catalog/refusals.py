"""What models do not accept, for staff. Workers learn it; the app that stores it registers how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that a model of an endpoint does not accept: `what` names it, `words` are for people.

    `endpoint` is the name in the ledger, `place` the one that staff gave. It was refused `at`, and is left out `until`.
    """

    endpoint: str
    place: str
    what: str
    words: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Refusals:
    """`find` reads what is remembered of a model. `forget` has a thing tried again, by model, endpoint and name; it
    returns whether it was remembered. `models` names the models of which anything is remembered.
    """

    find: Callable[[str], list[Refusal]]
    forget: Callable[[str, str, str], bool]
    models: Callable[[], list[str]]


_registered: list[Refusals] = []


def register_refusals(refusals: Refusals) -> None:
    """Registers what reads and changes the stored refusals. The app that stores them calls it when it is ready."""
    _registered[:] = [refusals]


def find_refusals(model: str) -> list[Refusal]:
    """What the model does not accept, the newest first."""
    return [refusal for one in _registered for refusal in one.find(model)]


def forget_refusal(model: str, endpoint: str, what: str) -> bool:
    """Has it tried again. Returns whether it was remembered."""
    return bool(_registered) and _registered[0].forget(model, endpoint, what)


def refusing_models() -> list[str]:
    """The names of the models that do not accept something."""
    return [name for one in _registered for name in one.models()]
