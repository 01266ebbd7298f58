"""Staff's page about endpoints: the key goes in and never out, everything is written down, and who may do what."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from django.contrib.admin.models import LogEntry
from django.core import serializers
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from accounts.lib.redis import sync_redis
from accounts.models import AuditEntry
from tests.fixtures.people import staff_client
from tests.integration.workers.endpoints.endpoint_pages import ADD, KEY, add, form, page_of
from tests.integration.workers.endpoints.endpoint_pages import keeper as keeper  # a fixture
from workers.admin import endpoints as pages
from workers.endpoints.connection_test import ConnectionTestResult
from workers.models import Endpoint, EndpointModel
from workers.providers.config import Extras

pytestmark = pytest.mark.usefixtures("clean_redis", "db")


def test_the_key_goes_in_and_never_out(
    keeper: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(pages, "request_connection_test", lambda _id: ConnectionTestResult(True, "It works."))
    with structlog.testing.capture_logs() as entries:
        refused = keeper.post(ADD, form(api_key=KEY, base_url="nonsense"))
        row = add(keeper, api_key=KEY, models=[("large", "Large")])
        seen = [refused, keeper.get(page_of(row)), keeper.get("/admin/workers/endpoint/")]
        seen.append(keeper.get(f"/admin/workers/endpoint/{row.pk}/history/"))
        seen.append(keeper.get("/admin/accounts/auditentry/"))
        seen.append(keeper.post(f"/admin/workers/endpoint/{row.pk}/test/", follow=True))
        seen.append(keeper.post(page_of(row), form(api_key=f"{KEY} with spaces")))
        seen.append(keeper.post(page_of(row), form(name="Renamed"), follow=True))
    row.refresh_from_db()
    assert row.read_key() == KEY, "leaving the field empty keeps it"
    assert row.name == "Renamed"
    places = {f"page {number}": answer.content.decode() for number, answer in enumerate(seen)}
    places["logs"] = caplog.text + str(entries)
    places["audit"] = str(list(AuditEntry.objects.values())) + str(list(LogEntry.objects.values()))
    places["export"] = serializers.serialize("json", [*Endpoint.objects.all(), *EndpointModel.objects.all()])
    places["redis"] = str([(name, sync_redis().dump(name)) for name in sync_redis().scan_iter()])
    places["sessions"] = str(connection.cursor().execute("SELECT * FROM accounts_session").fetchall())
    assert not [place for place, text in places.items() if KEY in text]
    assert "never shown again" in places["page 1"]
    assert row.encrypted_key not in "".join(text for place, text in places.items() if place != "export")


def test_headers_go_in_and_never_out(keeper: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    own: dict[str, Any] = {"headers": f'{{"X-Router": "{KEY}"}}', "extra_query": '{"trace": "on"}'}
    models = {"models-0-headers": f'{{"X-Model": "{KEY}"}}', "models-0-extra_body": '{"think": false}'}
    row = add(keeper, models=[("large", "")], **own, **models)
    model = row.models.get()
    assert row.read_extras() == Extras({"X-Router": KEY}, {"trace": "on"}, {})
    assert model.read_extras() == Extras({"X-Model": KEY}, {}, {"think": False})
    page = keeper.get(page_of(row)).content.decode()
    page += keeper.post(page_of(row), form(**{**own, "base_url": "nonsense"})).content.decode()
    seen = page + keeper.get(f"/admin/workers/endpoint/{row.pk}/history/").content.decode() + caplog.text
    seen += str(list(AuditEntry.objects.values())) + str(list(LogEntry.objects.values()))
    seen += serializers.serialize("json", [row, model])
    assert KEY not in seen
    assert "Currently set: X-Router." in page
    assert "Currently set: X-Model." in page
    assert AuditEntry.objects.get(verb="set_headers").details == "X-Router"
    kept = {
        "models-INITIAL_FORMS": "1", "models-0-id": str(model.pk), "models-0-endpoint": str(row.pk),
        "models-0-extra_body": '{"think": false}', "extra_query": '{"trace": "on"}',
    }  # fmt: skip
    assert keeper.post(page_of(row), form([("large", "")], **kept)).status_code == 302
    row.refresh_from_db()
    assert (row.read_extras().headers, row.header_names) == ({"X-Router": KEY}, ["X-Router"]), "empty keeps them"
    moved = keeper.post(page_of(row), form([("large", "")], **kept, base_url="http://evil.example/v1"))
    assert "The stored headers are for http://models.example.org." in html.unescape(moved.content.decode())
    only_models = keeper.post(page_of(row), form([("large", "")], **kept, base_url="http://evil.example", headers="{}"))
    assert "The stored headers of large are for http://models.example.org." in html.unescape(
        only_models.content.decode()
    )
    assert keeper.post(page_of(row), form([("large", "")], **kept, headers="{}")).status_code == 302
    row.refresh_from_db()
    assert (row.encrypted_headers, row.header_names) == ("", [])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"headers": '{"Authorization": "x"}'}, "Use the field for the API key."),
        ({"headers": "X-Title: Antiphon"}, "must be a JSON object"),
        ({"extra_body": '{"model": "other"}'}, "The field model of the body is set by the program."),
        ({"extra_body": "nonsense"}, "Enter a valid JSON."),
        ({"extra_query": '{"api_key": "x"}'}, "The query must not contain a key or token"),
        ({"kind": "azure", "api_key": KEY, "headers": '{"api-key": "x"}'}, "The API key is sent as api-key."),
        ({"kind": "nonsense"}, "is not one of the available choices"),
    ],
)
def test_what_cannot_be_added_is_refused_with_a_sentence(keeper: Client, values: dict[str, Any], words: str) -> None:
    answer = keeper.post(ADD, form(**values))
    assert answer.status_code == 200
    assert words in html.unescape(answer.content.decode())
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://api.anthropic.com", "Anthropic Messages API"),
        ("https://ours.openai.azure.com", "Azure OpenAI"),
        ("http://models.example.org/v1", "OpenAI-compatible chat completions"),
    ],
)
def test_the_api_that_was_found_is_said(keeper: Client, address: str, name: str) -> None:
    answer = keeper.post(ADD, form(kind="auto", base_url=address), follow=True)
    assert f"Ours has been saved as {name}." in answer.content.decode()
    assert name in keeper.get("/admin/workers/endpoint/").content.decode()


def test_every_deed_is_written_down(keeper: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pages, "request_connection_test", lambda _id: ConnectionTestResult(False, "Connection refused.")
    )
    row = add(keeper)
    keeper.post(page_of(row), form(api_key=KEY))
    answer = keeper.post(f"/admin/workers/endpoint/{row.pk}/test/", follow=True)
    assert "Connection refused." in answer.content.decode()
    row.refresh_from_db()
    assert (row.test_passed, row.test_said) == (False, "Connection refused.")
    keeper.post(page_of(row), form(remove_key="on"))
    keeper.post(f"/admin/workers/endpoint/{row.pk}/delete/", {"post": "yes"})
    verbs = AuditEntry.objects.filter(object_type="workers.endpoint").order_by("id").values_list("verb", "object_id")
    assert [verb for verb, _ in verbs] == ["add", "set_key", "change", "test", "remove_key", "change", "delete"]
    assert {object_id for _, object_id in verbs} == {str(row.pk)}


def test_a_key_does_not_follow_the_address(keeper: Client) -> None:
    """Who may change an endpoint does not get to know its key by having it sent elsewhere."""
    row = add(keeper, api_key=KEY)
    for url in ("http://evil.example/v1", "https://models.example.org/v1", "http://models.example.org:81/v1"):
        answer = keeper.post(page_of(row), form(base_url=url))
        assert "The stored key is for http://models.example.org. Enter the key again." in answer.content.decode()
    assert keeper.post(page_of(row), form(base_url="http://models.example.org/v2")).status_code == 302
    assert keeper.post(page_of(row), form(base_url="http://evil.example/v1", remove_key="on")).status_code == 302
    row.refresh_from_db()
    assert (row.base_url, row.encrypted_key) == ("http://evil.example/v1", "")


def test_a_model_is_offered_by_one_endpoint(keeper: Client) -> None:
    add(keeper, models=[("large", "")])
    answer = keeper.post(ADD, form(name="Second", models=[("large", ""), ("small", "")]))
    assert "The endpoint Ours already offers large." in answer.content.decode()
    answer = keeper.post(ADD, form(name="Second", models=[("small", ""), ("small", "")]))
    assert "duplicate" in answer.content.decode()
    add(keeper, name="Second", use="standby", models=[("large", "")])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"base_url": "http://169.254.169.254/v1"}, "cloud providers serve machine credentials"),
        ({"base_url": "ftp://models.example.org"}, "must begin with http"),
        ({"fallback_model": "x"}, "Choose a fallback endpoint first."),
        ({"total_timeout": "-1"}, "greater than or equal to 0.1"),
        ({"total_timeout": "nan"}, "Enter a number."),
        ({"name": ""}, "This field is required."),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(keeper: Client, values: dict[str, Any], words: str) -> None:
    answer = keeper.post(ADD, form(**values))
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not Endpoint.objects.exists()


def test_a_stand_in_must_be_another_and_in_use(keeper: Client) -> None:
    row, off = add(keeper), add(keeper, name="Off", use="off")
    for other, words in ((row, "Select a valid choice."), (off, "That endpoint is off.")):
        answer = keeper.post(page_of(row), form(fallback=str(other.pk)))
        assert words in answer.content.decode()


@pytest.mark.parametrize(
    ("permissions", "verbs"),
    [
        ((), set()),
        (("view_endpoint",), {"view"}),
        (("view_endpoint", "test_endpoint"), {"view", "test"}),
        (("test_endpoint",), set()),
        (("view_endpoint", "change_endpoint"), {"view", "change"}),
    ],
)
def test_who_may_do_what(permissions: tuple[str, ...], verbs: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "request_connection_test", lambda _id: ConnectionTestResult(True, "It works."))
    row = Endpoint(name="Ours", base_url="http://models.example.org/v1")
    row.set_key(KEY)
    row.save()
    client = staff_client(*permissions)
    shown = client.get(page_of(row))
    assert (shown.status_code == 200) == ("view" in verbs)
    assert ("Test connection" in shown.content.decode()) == ("test" in verbs)
    assert ('name="api_key"' in shown.content.decode()) == ("change" in verbs)
    assert client.post(f"/admin/workers/endpoint/{row.pk}/test/").status_code == (302 if "test" in verbs else 403)
    assert client.get(f"/admin/workers/endpoint/{row.pk}/test/").status_code == 405
    changed = client.post(page_of(row), form(api_key="sk-other"))
    assert changed.status_code == (302 if "change" in verbs else 403)
    assert client.post(ADD, form(name="New")).status_code == 403
    row.refresh_from_db()
    assert row.read_key() == ("sk-other" if "change" in verbs else KEY)


def test_the_list_asks_little_and_names_what_is_wrong(
    keeper: Client, settings: Settings, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = (
        "http://u:pw-canary@vllm.example:8000/v1",
        "sk-canary-of-the-env",
    )
    for number in range(3):
        row = add(keeper, name=f"Endpoint {number}", api_key=KEY, models=[(f"m{number}", "")])
    offer = {"id": "m2", "label": "m2", "endpoint": str(row.pk)}
    sync_redis().set("models", json.dumps([offer]))
    with CaptureQueriesContext(connection) as few:
        text = keeper.get("/admin/workers/endpoint/").content.decode()
    asked = len(few)
    assert "vllm.example:8000" in text
    assert "canary" not in text
    for number in range(3, 8):
        add(keeper, name=f"Endpoint {number}", models=[(f"m{number}", "")])
    with django_assert_max_num_queries(asked):
        keeper.get("/admin/workers/endpoint/")


def test_a_restored_backup_says_which_keys_are_lost(settings: Settings, keeper: Client) -> None:
    row = add(keeper, api_key=KEY)
    settings.ENCRYPTION_KEYS = ["k" * 32]
    Endpoint.objects.filter(pk=row.pk).update(encrypted_key="gAAAAAof-another-installation")
    assert "cannot be decrypted: enter it again" in keeper.get("/admin/workers/endpoint/").content.decode()
    assert keeper.get(page_of(row)).status_code == 200
    keeper.post(page_of(row), form(api_key=KEY))
    row.refresh_from_db()
    assert row.read_key() == KEY


def test_an_endpoint_is_not_offered_as_its_own_fallback(keeper: Client) -> None:
    row, other = add(keeper), add(keeper, name="Other")
    page = keeper.get(page_of(row)).content.decode()
    assert f'<option value="{other.pk}"' in page
    assert f'<option value="{row.pk}"' not in page
    assert f'<option value="{row.pk}"' in keeper.get(ADD).content.decode()
