"""Staff's page about judges: what is refused, that each change is a new version and recorded, and the test."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from accounts.lib.db import in_db
from accounts.models import AuditEntry
from chat.models.moderation import Action, Category, Direction
from tests.fakes.judge_server import JudgeServer
from tests.fixtures.people import staff_client
from workers.admin import judges as pages
from workers.endpoints.connection_test import ConnectionTestResult
from workers.endpoints.service import ENDPOINT_OFF
from workers.models import Endpoint, Judge, JudgedCategory, Use
from workers.moderation.judge_test import run_judge_test
from workers.moderation.service import define_judge, load_judges

pytestmark = pytest.mark.usefixtures("clean_redis", "db")

ADD = "/admin/workers/judge/add/"
KEY = "sk-judge-page-canary-8ab1"


@pytest.fixture
def keeper() -> Client:
    verbs = ("view", "add", "change", "delete")
    return staff_client(
        *(f"{verb}_judge" for verb in verbs), *(f"{verb}_judgedcategory" for verb in verbs), "view_endpoint",
        "test_judge",
    )  # fmt: skip


@pytest.fixture
def endpoint() -> Endpoint:
    made = Endpoint(name="OpenAI", base_url="https://api.openai.com/v1")
    made.set_key(KEY)
    made.save()
    return made


def form(where: Endpoint, *categories: dict[str, Any], **values: Any) -> dict[str, Any]:
    posted: dict[str, Any] = {
        "name": "Ours", "enabled": "on", "backend": "openai", "endpoint": str(where.pk), "directions": ["asked"],
        "model": "omni-moderation-latest", "mode": "before", "timeout": "1.5", "behind_timeout": "10",
        "categories-TOTAL_FORMS": str(len(categories)), "categories-INITIAL_FORMS": "0",
    }  # fmt: skip
    for number, category in enumerate(categories):
        row = {"category": "hate", "threshold": "0.5", "action": "block", "severity": "3", "when_away": "open"}
        posted |= {f"categories-{number}-{name}": value for name, value in (row | category).items()}
    return {name: value for name, value in (posted | values).items() if value is not None}


def errors_of(response: Any) -> str:
    assert response.status_code == 200, "it was saved"
    return str(response.context["errors"])


def test_a_judge_is_switched_off_until_somebody_switches_it_on(keeper: Client, endpoint: Endpoint) -> None:
    assert Judge(name="New").enabled is False
    assert keeper.post(ADD, form(endpoint, enabled=None)).status_code == 302
    assert load_judges() == []


def test_it_is_stored_as_workers_read_it(keeper: Client, endpoint: Endpoint) -> None:
    posted = form(endpoint, {}, {"category": "sexual/minors", "when_away": "closed", "threshold": "0.2"})
    assert keeper.post(ADD, posted | {"directions": ["asked", "answered"]}).status_code == 302
    [judge] = load_judges()
    assert (judge.backend, judge.model, judge.mode, judge.seconds) == (
        "openai", "omni-moderation-latest", "before", 1.5,
    )  # fmt: skip
    assert judge.directions == {Direction.ASKED, Direction.ANSWERED}
    assert [(one.category, one.threshold, one.action, one.closed) for one in judge.policies] == [
        (Category.HATE, 0.5, Action.BLOCK, False), (Category.MINORS, 0.2, Action.BLOCK, True),
    ]  # fmt: skip
    assert judge.endpoint.api_key == KEY
    assert KEY not in repr(judge)
    assert AuditEntry.objects.filter(verb="add").exists()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"timeout": "0"}, "greater than or equal to 0.1"),
        ({"timeout": "31"}, "less than or equal to 30"),
        ({"timeout": "soon"}, "Enter a number"),
        ({"directions": []}, "This field is required"),
        ({"directions": ["named"]}, "Select a valid choice"),
        ({"model": ""}, "This field is required"),
        ({"endpoint": ""}, "This field is required"),
        ({"backend": "tarot"}, "Select a valid choice"),
        ({"categories-0-threshold": "0"}, "greater than or equal to 0.01"),
        ({"categories-0-threshold": "1.5"}, "less than or equal to 1"),
        ({"categories-0-action": "mask"}, "Select a valid choice"),
        ({"categories-1-category": "hate"}, "duplicate"),
    ],
)
def test_bad_settings_are_refused_with_a_sentence(
    keeper: Client, endpoint: Endpoint, values: dict[str, Any], sentence: str
) -> None:
    categories = [{}, {"category": "spam"}]
    assert sentence in errors_of(keeper.post(ADD, form(endpoint, *categories, **values)))
    assert not Judge.objects.exists()


def test_a_judge_that_would_find_nothing_is_refused(keeper: Client, endpoint: Endpoint) -> None:
    assert "never matches" in errors_of(keeper.post(ADD, form(endpoint)))


def test_endpoints_that_cannot_judge_are_refused(keeper: Client, endpoint: Endpoint) -> None:
    endpoint.use = Use.OFF
    endpoint.save()
    assert "That endpoint is off" in errors_of(keeper.post(ADD, form(endpoint, {})))
    other = Endpoint.objects.create(name="Claude", base_url="https://api.anthropic.com")
    assert "by OpenAI and by servers with its API only" in errors_of(keeper.post(ADD, form(other, {})))
    assert keeper.post(ADD, form(other, {}, backend="json", model="claude")).status_code == 302


def test_the_database_refuses_what_the_form_does(endpoint: Endpoint) -> None:
    judge = Judge.objects.create(name="J", model="m", endpoint=endpoint, directions=["asked"])
    for model, fields in (
        (Judge, {"name": "A", "model": "m", "endpoint": endpoint, "directions": []}),
        (Judge, {"name": "B", "model": "m", "endpoint": endpoint, "directions": ["spoken"]}),
        (Judge, {"name": "C", "model": "m", "endpoint": endpoint, "directions": ["asked"], "timeout": 99}),
        (JudgedCategory, {"judge": judge, "category": "hate", "action": "mask"}),
        (JudgedCategory, {"judge": judge, "category": "hate", "threshold": 0}),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            model.objects.create(**fields)


def test_each_change_is_a_new_version_and_a_test_is_none(
    keeper: Client, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.post(ADD, form(endpoint, {}))
    judge = Judge.objects.get()
    page = f"/admin/workers/judge/{judge.pk}/change/"
    category = judge.categories.get()
    changed = form(endpoint, {"threshold": "0.7", "id": str(category.pk), "judge": str(judge.pk)})
    assert keeper.post(page, changed | {"categories-INITIAL_FORMS": "1"}).status_code == 302
    judge.refresh_from_db()
    assert (judge.version, judge.categories.get().threshold) == (2, 0.7)
    monkeypatch.setattr(pages, "request_judge_test", lambda _id: ConnectionTestResult(True, "It works: so far."))
    assert keeper.post(f"/admin/workers/judge/{judge.pk}/test/").status_code == 302
    judge.refresh_from_db()
    assert (judge.version, judge.test_passed) == (2, True)
    assert "It works: so far." in keeper.get(page).content.decode()
    assert AuditEntry.objects.filter(verb="test").exists()


def test_who_may_not_test_cannot(endpoint: Endpoint) -> None:
    judge = Judge.objects.create(name="J", model="m", endpoint=endpoint, directions=["asked"])
    reader = staff_client("view_judge")
    assert reader.post(f"/admin/workers/judge/{judge.pk}/test/").status_code == 403
    assert "Test judge" not in reader.get(f"/admin/workers/judge/{judge.pk}/change/").content.decode()


def test_one_whose_endpoint_is_off_or_unreadable_is_away(endpoint: Endpoint) -> None:
    judge = Judge.objects.create(name="J", model="m", endpoint=endpoint, directions=["asked"], enabled=True)
    endpoint.use = Use.OFF
    endpoint.save()
    assert define_judge(Judge.objects.get()).trouble == ENDPOINT_OFF
    endpoint.use, endpoint.encrypted_key = Use.STANDBY, "no token"
    endpoint.save()
    assert "cannot be decrypted" in define_judge(Judge.objects.get(pk=judge.pk)).trouble


# --- the test, by a worker -------------------------------------------------------------------------------------------


def a_judge_at(server_url: str, backend: str, **fields: Any) -> Any:
    endpoint = Endpoint.objects.create(name="E", base_url=server_url)
    judge = Judge.objects.create(
        name="J", model="m", backend=backend, endpoint=endpoint, directions=["asked"], **fields
    )
    JudgedCategory.objects.create(judge=judge, category="violence", threshold=0.5, action="block")
    return define_judge(Judge.objects.get(pk=judge.pk))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("backend", "guard"), [("openai", False), ("guard", True), ("json", False)])
async def test_a_judge_that_works_says_what_it_finds(backend: str, guard: bool) -> None:

    async with JudgeServer(guard=guard) as server:
        server.says("violence", 0.9, about="kill")
        result = await run_judge_test(await in_db(a_judge_at, server.url, backend))
        assert result.passed, result.message
        assert "of a threat: Violence" in result.message
        assert "no hit" not in result.message
        assert len(server.texts) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("how", "sentence"),
    [("garbage", "not with a verdict"), ("unauthorized", "refuses the API key"), ("busy", "429"), ("html", "verdict")],
)
async def test_a_judge_that_does_not_work_says_why(how: str, sentence: str) -> None:

    async with JudgeServer() as server:
        server.misbehaves(how)
        result = await run_judge_test(await in_db(a_judge_at, server.url, "openai"))
        assert not result.passed
        assert sentence in result.message
