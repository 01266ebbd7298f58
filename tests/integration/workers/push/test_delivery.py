"""Browser notifications: who gets one, what it says, and what becomes of devices that want none."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.lib.db import in_db
from accounts.models import Session, User
from chat.conversations import members
from chat.models import Conversation, Member, Message, PushSubscription, Role, Run
from chat.notifications import visibility
from chat.notifications.keys import public_key
from chat.notifications.notify import Kind
from chat.notifications.positions import move_position
from chat.telemetry import metrics
from tests.fakes.push_service import PushBrowser, PushService
from tests.fixtures.conversation_rows import make_conversation
from tests.fixtures.notified import make_device
from workers.push import sender
from workers.push.delivery import deliver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def service(settings: Any) -> Iterator[PushService]:
    with PushService() as running:
        settings.PUSH_HOSTS = [running.url]
        settings.DEFAULT_FROM_EMAIL = "Antiphon <ops@example.org>"
        yield running


@pytest.fixture
def browser() -> PushBrowser:
    return PushBrowser()


@pytest.fixture
def shared(alice: User, bob: User) -> Conversation:
    """Alice wrote and a model answered; Bob has not read it."""
    conversation = make_conversation(alice, 2, title="Trip to Rome")
    Member.objects.create(conversation=conversation, user=bob, role=Role.EDITOR)
    Member.objects.update(seen_until=timezone.now() - timedelta(days=1))
    return conversation


@pytest.fixture
def question(shared: Conversation) -> Message:
    return Message.objects.get(conversation=shared, role="user")


async def tell(user: User, kind: Kind, conversation: Conversation, message: Message | None = None) -> None:
    await deliver(kind, conversation.pk, message.pk if message else None, [user.pk])


async def test_it_says_what_happened_and_nothing_else(
    service: PushService, browser: PushBrowser, shared: Conversation, question: Message, bob: User
) -> None:
    device = await in_db(make_device, bob, browser, f"{service.url}/send/b")
    await tell(bob, Kind.WROTE, shared, question)
    [request] = service.requests
    assert request.path == "/send/b"
    assert request.headers["content-encoding"] == "aes128gcm"
    assert int(request.headers["ttl"]) > 0
    assert b"text 0" not in request.body
    assert browser.read(request.body) == {
        "title": "Antiphon",
        "body": "There is a new message in a shared conversation.",
        "tag": str(shared.pk),
        "url": f"/c/{shared.pk}/",
    }
    claims = request.claims()
    assert claims["sub"] == "mailto:ops@example.org"
    assert f"k={public_key()}" in request.headers["authorization"]
    await device.arefresh_from_db()
    assert device.sent_at is not None


async def test_titles_and_text_where_the_person_wants_them(
    service: PushService, browser: PushBrowser, shared: Conversation, question: Message, bob: User
) -> None:
    device = await in_db(make_device, bob, browser, f"{service.url}/send/b", with_text=True)
    await Message.objects.filter(pk=question.pk).aupdate(text="See\n you " + "x" * 500)
    await tell(bob, Kind.MENTIONED, shared, question)
    said = browser.read(service.requests[-1].body)
    assert said["title"] == "Trip to Rome"
    assert said["body"].startswith("Alice: See you xxx")
    assert len(said["body"]) < 160
    # Not after the session has been idle for so long that the person must log in again.
    await Session.objects.filter(hash=device.session_hash).aupdate(last_seen_at=timezone.now() - timedelta(days=8))
    await tell(bob, Kind.ADDED, shared)
    assert browser.read(service.requests[-1].body)["body"] == "You were added to a conversation."
    assert browser.read(service.requests[-1].body)["title"] == "Antiphon"


async def test_an_answer_has_no_markup(
    service: PushService, browser: PushBrowser, shared: Conversation, question: Message, bob: User
) -> None:
    await in_db(make_device, bob, browser, f"{service.url}/send/b", with_text=True)
    html = "<p>See <strong>you</strong><br>\nthere</p>"
    await Message.objects.filter(pk=question.pk).aupdate(author=None, text="See **you**\nthere", html=html)
    await tell(bob, Kind.ANSWERED, shared, question)
    assert browser.read(service.requests[-1].body)["body"] == "See you there"


async def test_nobody_who_is_here_has_read_it_or_may_not(
    service: PushService, browser: PushBrowser, shared: Conversation, question: Message, bob: User, mallory: User
) -> None:
    await in_db(make_device, bob, browser, f"{service.url}/send/b")
    await in_db(make_device, mallory, PushBrowser(), f"{service.url}/send/m")
    await tell(mallory, Kind.WROTE, shared, question)
    await visibility.show(bob.pk, "tab")
    await tell(bob, Kind.WROTE, shared, question)
    await visibility.hide(bob.pk, "tab")
    await in_db(move_position, bob.pk, shared.pk, question.pk)
    await tell(bob, Kind.MENTIONED, shared, question)
    assert service.requests == []
    await in_db(members.remove_member, None, shared.pk, bob.pk)
    await tell(bob, Kind.ADDED, shared)
    await deliver(Kind.WROTE, shared.pk, uuid.uuid4(), [bob.pk])
    assert service.requests == []


async def test_nobody_whose_session_has_ended(
    service: PushService, browser: PushBrowser, shared: Conversation, bob: User
) -> None:
    device = await in_db(make_device, bob, browser, f"{service.url}/send/b")
    await Session.objects.filter(hash=device.session_hash).adelete()
    await tell(bob, Kind.ADDED, shared)
    assert service.requests == []


async def test_one_message_is_announced_once_but_for_a_mention(
    service: PushService, browser: PushBrowser, shared: Conversation, question: Message, bob: User
) -> None:
    await in_db(make_device, bob, browser, f"{service.url}/send/b")
    for kind in (Kind.WROTE, Kind.WROTE, Kind.MENTIONED, Kind.MENTIONED, Kind.WROTE):
        await tell(bob, kind, shared, question)
    assert len(service.requests) == 2


async def test_no_more_than_the_rate(
    service: PushService, browser: PushBrowser, shared: Conversation, bob: User, settings: Any
) -> None:
    settings.RATE_PUSH = "3/h"
    await in_db(make_device, bob, browser, f"{service.url}/send/b")
    for _ in range(5):
        await tell(bob, Kind.ADDED, shared)
    assert len(service.requests) == 3


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_wants_none_is_forgotten(
    service: PushService, browser: PushBrowser, shared: Conversation, bob: User, status: int
) -> None:
    await in_db(make_device, bob, browser, f"{service.url}/send/b")
    service.status = status
    before = metrics.pushes["gone"]
    await tell(bob, Kind.ADDED, shared)
    assert not await PushSubscription.objects.aexists()
    assert metrics.pushes["gone"] == before + 1


async def test_failures_are_counted_and_end(
    service: PushService, browser: PushBrowser, shared: Conversation, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MOST_FAILURES", 3)
    device = await in_db(make_device, bob, browser, f"{service.url}/send/b")
    service.status = 500
    await tell(bob, Kind.ADDED, shared)
    await device.arefresh_from_db()
    assert device.failures == 1
    service.status = 201
    await tell(bob, Kind.ADDED, shared)
    await device.arefresh_from_db()
    assert device.failures == 0, "one after another"
    service.status, service.headers = 429, {"retry-after": "3600"}
    await tell(bob, Kind.ADDED, shared)
    await device.arefresh_from_db()
    assert device.retry_at is not None
    assert device.retry_at > timezone.now() + timedelta(minutes=50)
    sent = len(service.requests)
    await tell(bob, Kind.ADDED, shared)
    assert len(service.requests) == sent, "the service asked to wait"
    service.headers = {}
    for _ in range(2):
        await PushSubscription.objects.aupdate(retry_at=None)
        await tell(bob, Kind.ADDED, shared)
    assert not await PushSubscription.objects.aexists()


async def test_no_redirect_leads_elsewhere(
    service: PushService, browser: PushBrowser, shared: Conversation, bob: User
) -> None:
    with PushService() as elsewhere:
        await in_db(make_device, bob, browser, f"{service.url}/send/b")
        service.status, service.headers = 307, {"location": f"{elsewhere.url}/caught"}
        await tell(bob, Kind.ADDED, shared)
        assert (len(service.requests), elsewhere.requests) == (1, [])


async def test_a_host_that_is_no_longer_allowed(
    service: PushService, browser: PushBrowser, shared: Conversation, bob: User, settings: Any
) -> None:
    await in_db(make_device, bob, browser, f"{service.url}/send/b")
    settings.PUSH_HOSTS = ["push.example.org"]
    await tell(bob, Kind.ADDED, shared)
    assert service.requests == []
    assert not await PushSubscription.objects.aexists()


async def test_who_may_decide_is_told_while_an_answer_waits(
    service: PushService, browser: PushBrowser, shared: Conversation, question: Message, bob: User
) -> None:
    await in_db(make_device, bob, browser, f"{service.url}/send/b", with_text=True)
    answer = await Message.objects.aget(conversation=shared, role="assistant")
    run = await Run.objects.acreate(
        conversation=shared, prompt=question, message=answer, model="m", status="waiting", waiting_for="approval"
    )
    await tell(bob, Kind.DECIDE, shared)
    await tell(bob, Kind.DECIDE, shared)  # it waits again: that is news
    said = browser.read(service.requests[-1].body)
    assert (said["title"], said["body"], said["kind"]) == (
        "Trip to Rome", "An answer is waiting for your decision.", "decide",
    )  # fmt: skip
    assert len(service.requests) == 2
    await Member.objects.filter(user=bob).aupdate(role=Role.VIEWER)
    await tell(bob, Kind.DECIDE, shared)
    await Member.objects.filter(user=bob).aupdate(role=Role.EDITOR)
    await Run.objects.filter(pk=run.pk).aupdate(status="queued", waiting_for="")
    await tell(bob, Kind.DECIDE, shared)
    assert len(service.requests) == 2, "viewers decide nothing, and somebody has decided meanwhile"
