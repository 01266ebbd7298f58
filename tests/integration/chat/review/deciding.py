"""Two moderators, and what they decide."""

from __future__ import annotations

import pytest

from accounts.models import User
from chat.models import ModerationCase
from chat.models.moderation import DecisionKind
from chat.protocol.errors import ChatError
from chat.review import decisions
from chat.review.decisions import Outcome
from tests.fixtures.cases import make_moderator

RELEASE, MASK, DELETE = Outcome(DecisionKind.RELEASE), Outcome(DecisionKind.MASK), Outcome(DecisionKind.DELETE)
WARN, BLOCK = Outcome(person=DecisionKind.WARN), Outcome(person=DecisionKind.BLOCK)


@pytest.fixture
def mo() -> User:
    return make_moderator()


@pytest.fixture
def nora() -> User:
    return make_moderator("Nora")


def decided(case: ModerationCase, by: User, outcome: Outcome = DELETE) -> decisions.Decided:
    decisions.claim(by, case.pk)
    return decisions.decide(by, case.pk, outcome)


def status(case: ModerationCase) -> str:
    case.refresh_from_db()
    return case.status


def refused(kind: type[ChatError], act: object, *args: object) -> str:
    with pytest.raises(kind) as raised:
        act(*args)  # type: ignore[operator]
    return raised.value.message
