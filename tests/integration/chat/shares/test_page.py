"""The page of a share link: who gets it, what headers it has, and that nobody without an account gets a cookie."""

from __future__ import annotations

import re
from typing import Any
from unittest import mock

import pytest
from django.test import Client

from accounts.auth import guessing
from accounts.models import User
from chat.models import Conversation, Member, Message, ShareLink
from chat.shares.links import Wanted, create_share, revoke
from chat.views import shares
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.people import logged_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]

PASSWORD = "open sesame"


@pytest.fixture
def conversation(alice: User, settings: Any) -> Conversation:
    settings.SHARE_WITH_ANYONE = True
    return make_conversation(alice, messages=4)


def share(owner: User, conversation: Conversation, **wanted: Any) -> tuple[ShareLink, str]:
    link, secret = create_share(owner.pk, conversation.pk, Wanted(**wanted))
    return link, f"/s/{secret}"


@pytest.mark.parametrize("kind", ["snapshot", "live"])
def test_anyone_reads_without_an_account_or_a_cookie(conversation: Conversation, alice: User, kind: str) -> None:
    link, path = share(alice, conversation, audience="anyone", kind=kind)
    page = Client().get(path)
    html = page.content.decode()
    assert page.status_code == 200
    assert all(f"text {number}" in html for number in range(4))
    assert "Shared by Alice" in html
    assert page.cookies == {}
    assert page["Cache-Control"] == "no-store, private"
    assert page["Referrer-Policy"] == "no-referrer"
    assert page["X-Robots-Tag"] == "noindex, nofollow"
    assert '<meta name="robots" content="noindex, nofollow">' in html
    policy = page["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"style-src 'self' 'nonce-", policy), "the site's colours are a style element with a nonce"
    scripts = re.findall(r'<script type="module"[^>]* src="[^"]*/chat/js/([a-z/]+)[.a-z0-9]*\.js"', html)
    assert scripts == ["shared/shared" if kind == "live" else "shared/answers"], "a snapshot follows nothing"
    link.refresh_from_db()
    assert link.views == 1
    Client().head(path)
    link.refresh_from_db()
    assert link.views == 1, "a HEAD is no view"


def test_text_is_no_markup(conversation: Conversation, alice: User) -> None:
    Message.objects.filter(conversation=conversation).update(text="<script>alert(1)</script>")
    Conversation.objects.update(title="<img src=x>")
    for kind in ("snapshot", "live"):
        _, path = share(alice, conversation, audience="anyone", kind=kind)
        html = Client().get(path).content.decode()
        assert "<script>alert" not in html
        assert "<img src=x>" not in html


def test_every_token_that_does_not_work_gets_the_same(conversation: Conversation, alice: User) -> None:
    link, revoked = share(alice, conversation, audience="anyone")
    revoke(link)
    answers = [Client().get(path) for path in (revoked, "/s/guess", "/s/" + "x" * 43, "/s/%00", "/s/" + "a" * 2000)]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert all(answer["Referrer-Policy"] == "no-referrer" for answer in answers)


def test_guessing_is_limited(conversation: Conversation, settings: Any) -> None:
    settings.RATE_SHARE_OPENS = "3/m"
    statuses = [Client().get(f"/s/guess{number}").status_code for number in range(5)]
    assert statuses == [404, 404, 404, 429, 429]
    assert int(Client().get("/s/guess")["Retry-After"]) > 0


def test_people_with_an_account(conversation: Conversation, alice: User, bob: User) -> None:
    _, path = share(alice, conversation, audience="users")
    page = Client().get(path)
    assert page.status_code == 403
    assert "text 0" not in page.content.decode()
    assert f"/accounts/login/?next={path}" in page.content.decode()
    assert "text 0" in logged_in(bob).get(path).content.decode()


def test_a_failure_does_not_log_the_token(
    conversation: Conversation, alice: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, path = share(alice, conversation, audience="anyone")
    for error, status in ((RuntimeError, 500), (TimeoutError, 503)):
        monkeypatch.setattr(shares, "read_shared", mock.Mock(side_effect=error))
        assert Client().get(path).status_code == status
    assert path not in caplog.text


class TestPassword:
    def test_it_is_asked_for(self, conversation: Conversation, alice: User) -> None:
        link, path = share(alice, conversation, audience="password", password=PASSWORD, kind="live")
        browser = Client()
        for page in (browser.get(path), browser.post(path, {"key": "forged"}), browser.post(path, {"before": "1"})):
            assert "text 0" not in page.content.decode()
        wrong = browser.post(path, {"password": "wrong"})
        assert (wrong.status_code, "text 0" in wrong.content.decode()) == (403, False)
        right = browser.post(path, {"password": PASSWORD})
        assert "text 0" in right.content.decode()
        assert right.cookies == {}
        assert "text 0" not in browser.get(path).content.decode(), "nothing is remembered"
        key = right.context["key"]
        assert "text 0" in browser.post(path, {"key": key}).content.decode()
        link.password = "another"
        link.save()
        assert "text 0" not in browser.post(path, {"key": key}).content.decode()

    def test_the_key_of_another_link(self, conversation: Conversation, alice: User) -> None:
        _, first = share(alice, conversation, audience="password", password=PASSWORD)
        _, second = share(alice, conversation, audience="password", password=PASSWORD)
        key = Client().post(first, {"password": PASSWORD}).context["key"]
        assert "text 0" not in Client().post(second, {"key": key}).content.decode()

    def test_a_flood_locks_the_link_for_strangers(self, conversation: Conversation, alice: User, settings: Any) -> None:
        settings.RATE_SHARE_PASSWORDS = "off"
        _, path = share(alice, conversation, audience="password", password=PASSWORD)
        assert Client().post(path, {"password": PASSWORD}, REMOTE_ADDR="10.0.0.1").status_code == 200
        statuses = [
            Client().post(path, {"password": f"wrong {number}"}, REMOTE_ADDR=f"10.1.0.{number}").status_code
            for number in range(guessing.FREE + 3)
        ]
        assert statuses == [403] * guessing.FREE + [429] * 3
        right = {"password": PASSWORD}
        assert Client().post(path, right, REMOTE_ADDR="10.2.0.1").status_code == 429, "not even the right one"
        assert Client().post(path, right, REMOTE_ADDR="10.0.0.1").status_code == 200, "but for who had it before"

    def test_a_flood_from_one_address(self, conversation: Conversation, alice: User, settings: Any) -> None:
        settings.RATE_SHARE_PASSWORDS = "2/m"
        _, path = share(alice, conversation, audience="password", password=PASSWORD)
        statuses = [Client().post(path, {"password": "wrong"}).status_code for _ in range(3)]
        assert statuses == [403, 403, 429]


def make_copy(browser: Client, path: str, **more: str) -> Any:
    return browser.post("/shares/copy/", {"token": path.removeprefix("/s/"), **more})


class TestCopy:
    def test_a_reader_goes_on_with_a_copy(self, conversation: Conversation, alice: User, bob: User) -> None:
        _, path = share(alice, conversation, audience="users", show_names=False)
        answer = make_copy(logged_in(bob), path)
        copy = Conversation.objects.get(memberships__user=bob)
        assert answer["Location"] == f"/c/{copy.pk}/"
        assert copy.title == "Crocodiles (copy)"
        assert list(Member.objects.filter(conversation=copy).values_list("user", "role")) == [(bob.pk, "owner")]
        rows = list(Message.objects.filter(conversation=copy).order_by("created_at"))
        assert [row.text for row in rows] == ["text 0", "text 1", "text 2", "text 3"]
        assert [row.parent_id for row in rows] == [None, *[row.pk for row in rows[:-1]]]
        assert {row.author_id for row in rows} == {None}
        assert copy.tip_id == rows[-1].pk
        assert "text 3" in logged_in(bob).get(f"/c/{copy.pk}/").content.decode()

    def test_only_what_they_may_read(self, conversation: Conversation, alice: User, bob: User) -> None:
        Message.objects.filter(conversation=conversation, text="text 3").update(text="", moderation={"action": "block"})
        _, path = share(alice, conversation, audience="password", password=PASSWORD)
        browser = logged_in(bob)
        assert make_copy(browser, path)["Location"] == path, "the password first"
        key = browser.post(path, {"password": PASSWORD}).context["key"]
        make_copy(browser, path, key=key)
        copy = Conversation.objects.get(memberships__user=bob)
        assert copy.tip is not None
        assert copy.tip.text == "(not shown)"

    def test_nobody_without_an_account(self, conversation: Conversation, alice: User) -> None:
        _, path = share(alice, conversation, audience="anyone")
        assert make_copy(Client(), path)["Location"] == path
        assert Conversation.objects.count() == 1

    def test_it_needs_the_form_of_the_page(self, conversation: Conversation, alice: User, bob: User) -> None:
        _, path = share(alice, conversation, audience="users")
        browser = Client(enforce_csrf_checks=True)
        browser.force_login(bob)
        assert make_copy(browser, path).status_code == 403


class TestOwnLinks:
    def test_the_page_lists_both_kinds_and_revokes(self, conversation: Conversation, alice: User, bob: User) -> None:
        link, path = share(alice, conversation, audience="users", kind="live")
        browser = logged_in(alice)
        browser.post(f"/c/{conversation.pk}/members/links/", {"role": "viewer", "days": "7"})
        html = browser.get("/links/").content.decode()
        assert "Live · People with an account" in html
        assert "Viewer" in html
        assert logged_in(bob).post(f"/links/{link.pk}/revoke/").status_code == 404
        assert logged_in(bob).get(path).status_code == 200
        browser.post(f"/links/{link.pk}/revoke/")
        assert logged_in(bob).get(path).status_code == 404
        assert "Live · People" not in browser.get("/links/").content.decode()

    def test_the_sheet_of_the_conversation(self, conversation: Conversation, alice: User, bob: User) -> None:
        browser = logged_in(alice)
        made = browser.post(
            f"/c/{conversation.pk}/shares/new/",
            {"kind": "snapshot", "audience": "users", "days": "30", "names": "1", "reasoning": "0"},
        ).json()
        assert made["url"].startswith("http")
        assert made["links"][0]["id"] == made["link_id"]
        assert "url" not in browser.get(f"/c/{conversation.pk}/shares/").json()
        done = browser.post(f"/c/{conversation.pk}/shares/{made['link_id']}/revoke/").json()
        assert done["links"] == []
        assert logged_in(bob).get(f"/c/{conversation.pk}/shares/").status_code == 404
        wrong = browser.post(f"/c/{conversation.pk}/shares/new/", {"kind": "snapshot", "days": "a"})
        assert wrong.status_code == 400


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x"),
        ("application/x-www-form-urlencoded", b"a=1&" * 3_000),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"1" * 3_000_000,
        ),
    ],
)
def test_a_form_that_is_none_is_refused(
    conversation: Conversation, alice: User, caplog: pytest.LogCaptureFixture, kind: str, body: bytes
) -> None:
    _, path = share(alice, conversation, audience="password", password=PASSWORD)
    for where in (path, "/shares/copy/"):
        refused = Client().generic("POST", where, body, content_type=kind)
        assert refused.status_code == 400, where
        assert "invalid request" in refused.content.decode()
    assert path not in caplog.text
