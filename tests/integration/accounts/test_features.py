"""Features that staff switch off for the whole site: refused at the server, hidden from the pages, and on again."""

from __future__ import annotations

import io
import uuid
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from pytest_django.fixtures import Settings

from accounts import features
from accounts import site as site_module
from accounts.auth.api_tokens import most_tokens
from accounts.models import AuditEntry, SiteSettings, User
from accounts.models.site import Feature
from chat.api import completions
from chat.api.answering import _prepare
from chat.api.door import _find_access
from chat.api.errors import ApiError
from chat.conversations.web_search import switch_web_search
from chat.files import uploads
from chat.models import Collection
from chat.protocol.commands import MessageSend
from chat.protocol.errors import Forbidden, TooLarge
from chat.protocol.options import TurnOptions
from chat.realtime.greeting import hello
from chat.realtime.site_banner import read_offers
from chat.shares.links import sharing_roles
from chat.turns.places import find_place
from tests.fixtures.people import logged_in, staff_client

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
def read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "_known", None)


def switch_off(*names: Feature) -> None:
    row, _made = SiteSettings.objects.get_or_create(pk=1)
    row.off = [one.value for one in names]
    row.save()


def temporary_message() -> MessageSend:
    return MessageSend(client_id=uuid.uuid4(), conversation_id=None, text="Hello", temporary=True)


def test_nothing_is_off_at_first() -> None:
    assert all(features.is_on(one) for one in Feature)


def test_staff_switch_in_the_admin_and_it_is_recorded() -> None:
    client: Client = staff_client(superuser=True)
    page = client.get("/admin/accounts/sitesettings/")
    assert "Share links" in page.content.decode()
    form: dict[str, Any] = {
        "name": "", "accent": "", "accent_dark": "", "banner": "", "banner_kind": "news", "welcome": "",
        "starter_lines": "", "terms": "", "terms_version": "1", "link_lines": "",
    }  # fmt: skip
    answer = client.post("/admin/accounts/sitesettings/", form | {"off_features": ["sharing", "uploads"]})
    assert answer.status_code == 302, answer.content
    assert not features.is_on(Feature.SHARING)
    assert not features.is_on(Feature.UPLOADS)
    assert features.is_on(Feature.VOICE)
    assert "sharing" in str(AuditEntry.objects.latest("at").__dict__), "with before and after"
    client.post("/admin/accounts/sitesettings/", form)
    assert features.is_on(Feature.SHARING)


def test_sign_up(settings: Settings) -> None:
    settings.SIGN_UP = "open"
    assert Client().get("/accounts/signup/").status_code == 200
    switch_off(Feature.SIGN_UP)
    assert features.sign_up_rule() == "invitation"
    address = "new@example.org"
    Client().post("/accounts/signup/", {"email": address, "password1": "a-Long-one-9", "name": "New"})
    assert not User.objects.filter(email=address).exists()


def test_uploads(alice: User) -> None:
    begun = uploads.create_upload(alice.pk, "a.txt", 1)
    uploads.receive_chunk(alice.pk, begun.id, 0, io.BytesIO(b"a"))
    switch_off(Feature.UPLOADS)
    with pytest.raises(TooLarge, match="can't be uploaded"):
        uploads.create_upload(alice.pk, "b.txt", 1)
    with pytest.raises(TooLarge, match="can't be uploaded"):
        uploads.finish_upload(alice.pk, begun.id)
    page = logged_in(alice).get("/").content.decode()
    assert 'id="attach" type="button" hidden' in page
    handbook = Collection.objects.create(owner=alice, name="Handbook")
    page = logged_in(alice).get(f"/accounts/settings/collections/{handbook.pk}/").content.decode()
    assert "data-choose hidden" in page
    assert "Or drop files here" not in page


def test_speech(alice: User, settings: Settings) -> None:
    settings.ASR_BACKENDS, settings.SPEECH_BACKENDS = ["replay"], ["tone"]
    assert {"voice", "speech"} <= set(hello("c", read_offers(alice.pk))["features"])
    switch_off(Feature.VOICE, Feature.SPEECH)
    frame = hello("c", read_offers(alice.pk))
    assert not {"voice", "speech"} & set(frame["features"])
    assert "spoken" not in frame
    assert 'id="mic"' not in logged_in(alice).get("/").content.decode()


def test_sharing() -> None:
    assert sharing_roles() == ("owner",)
    switch_off(Feature.SHARING)
    assert sharing_roles() == ()
    switch_off()
    assert sharing_roles() == ("owner",), "links work again"


def test_the_api(alice: User) -> None:
    assert django_settings.API_ENABLED
    assert most_tokens(alice) > 0
    switch_off(Feature.API)
    assert most_tokens(alice) == 0
    with pytest.raises(ApiError) as refused:
        _find_access("ant_whatever")
    assert refused.value.status == 404
    assert logged_in(alice).get("/accounts/tokens/").status_code == 404


def test_searching_the_web(alice: User) -> None:
    switch_off(Feature.WEB_SEARCH)
    with pytest.raises(Forbidden, match="switched off"):
        switch_web_search(alice.pk, uuid.uuid4(), on=True)
    begins = MessageSend(
        client_id=uuid.uuid4(), conversation_id=None, text="Hello", options=TurnOptions(web_search=True)
    )
    with pytest.raises(Forbidden, match="switched off"):
        find_place(alice.pk, begins)
    switch_off()
    find_place(alice.pk, begins)  # is not refused


def test_temporary_chats(alice: User) -> None:
    switch_off(Feature.TEMPORARY)
    with pytest.raises(Forbidden, match="Start a normal conversation"):
        find_place(alice.pk, temporary_message())
    page = logged_in(alice).get("/?temporary").content.decode()
    assert 'id="temporary"' not in page
    assert "data-temporary" not in page.partition(">")[0]


@pytest.mark.usefixtures("one_model")
def test_programs_go_on_without_temporary_chats(alice: User) -> None:
    """Their clients leave `store` out, so a refusal would end them all: what they ask is kept."""
    body: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
    asked = {store: completions.read_request(body | {"store": store}, 10_000) for store in (None, False, True)}
    assert {store: _prepare(alice.pk, one)[1] for store, one in asked.items()} == {None: True, False: True, True: False}
    switch_off(Feature.TEMPORARY)
    assert not any(_prepare(alice.pk, one)[1] for one in asked.values())
