"""What rules and judges of files withhold of the collections that an answer is looked up in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group

from accounts.lib.db import in_db
from accounts.models import User
from chat.files.access import may_see
from chat.models import FileUse
from tests.fixtures.judged_runs import ScriptedJudge, finds
from tests.integration.workers.files.conftest import Keep
from tests.integration.workers.files.test_knowledge import asked, collection
from tests.integration.workers.files.test_moderated_files import (
    SAID,
    WORD,
    case_of,
    given,
    judged,
    known_rules,
    notes,
    rule,
)

__all__ = ["known_rules"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("one_model", "no_rules", "layer")]


async def test_a_judge_reads_the_passages(alice: User, keep: Keep) -> None:
    file = await notes(keep, alice)
    judge = ScriptedJudge(finds(WORD))
    turn = await asked(alice, "Who?", await collection(alice, file))
    assert WORD not in await given(turn, judged(judge))
    assert judge.texts == [f"notes.txt\n\n{SAID}"]
    case = await case_of(file)
    assert (case.origin, case.original) == ("judge", f"notes.txt\n\n{SAID}")
    used = await in_db(lambda: list(FileUse.objects.filter(run=turn.run_id).values_list("kind", "reason")))
    assert ("none", "moderated") in used


async def test_a_rule_opens_a_case_and_others_no_longer_see_the_file(alice: User, bob: User, keep: Keep) -> None:
    file = await notes(keep, alice)
    chosen = await collection(alice, file, group="team")
    await in_db(lambda: Group.objects.get(name="team").user_set.add(bob))
    assert await in_db(may_see, bob.pk, file.pk)
    await rule("block")
    assert WORD not in await given(await asked(bob, "Who?", chosen))
    case = await case_of(file)
    assert (case.origin, case.action) == ("rule", "block")
    assert WORD in case.original
    assert not await in_db(may_see, bob.pk, file.pk)
    assert await in_db(may_see, alice.pk, file.pk)
