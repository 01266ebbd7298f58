"""The next connection with a ticket that the one before has handed over: once, for that session, while it lasts."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from typing import Any

import aiohttp
import pytest
import redis
from django.test import override_settings
from yarl import URL

from accounts.auth import resuming
from accounts.auth.revocation import session_hash
from accounts.models import Session, User
from accounts.site import Site
from chat.protocol.close_codes import Close
from chat.realtime import greeting
from chat.realtime.greeting import Asked
from tests.client import Client
from tests.fixtures.api_tokens import add_token
from tests.integration.chat.api.test_sockets import opened, ticket_of
from tests.integration.chat.realtime.talking import user
from tests.stack import Stack


def handed_over(client: Client) -> str:
    [hello] = [frame for frame in client.frames if frame["type"] == "hello"]
    return str(hello["resume"])


async def is_refused(page: Any, ticket: str) -> bool:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await page.connect(ticket=ticket)
    return refusal.value.status == 403


class TestOverTheNetwork:
    pytestmark = pytest.mark.asyncio(loop_scope="function")

    async def test_a_connection_that_was_cut(self, stack: Stack) -> None:
        async with user(stack) as alice:
            first = await alice.connect()
            await first.drop()
            second = await alice.connect(ticket=handed_over(first))
            assert (await second.ask("ping"))["type"] == "pong"
            assert handed_over(second) != handed_over(first)
            assert await is_refused(alice, handed_over(first)), "it was used"
            await second.close()

    async def test_another_session(self, stack: Stack) -> None:
        async with user(stack) as alice, user(stack, "bob") as bob, user(stack, fresh=True) as elsewhere:
            tabs = [await alice.connect() for _ in range(2)]
            for tab, somebody in zip(tabs, (bob, elsewhere), strict=True):
                assert await is_refused(somebody, handed_over(tab))
                assert await is_refused(alice, handed_over(tab)), "whoever tries it uses it up"
                await tab.close()

    async def test_a_session_that_has_ended_without_a_word(self, stack: Stack) -> None:
        """The row alone is gone: no mark in Redis is left."""
        async with user(stack, fresh=True) as alice:
            first = await alice.connect()
            await first.drop()
            cookies = alice.http.cookie_jar.filter_cookies(URL(stack.url))
            key = next(one.value for name, one in cookies.items() if name.endswith("sessionid"))
            stack.sql("DELETE FROM accounts_session WHERE session_key = %s RETURNING 1", key)
            with pytest.raises(ConnectionError, match="4401"):
                await alice.connect(ticket=handed_over(first))

    async def test_a_page_that_was_left(self, stack: Stack) -> None:
        async with user(stack) as alice:
            first = await alice.connect()
            await first.close()
            with redis.Redis.from_url(stack.redis.url) as server:
                name = f"ticket:{hashlib.sha256(handed_over(first).encode()).hexdigest()}"
                deadline = time.monotonic() + 20
                while server.exists(name):
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.02)
            assert await is_refused(alice, handed_over(first))

    async def test_a_program_asks_for_each(self, stack: Stack) -> None:
        token = add_token(stack, stack.add_user("Resuming"), ("conversations",))
        async with aiohttp.ClientSession() as http:
            client = await opened(stack, http, ticket_of(stack, token).json()["ticket"])
            assert "resume" not in client.frames[0]
            await client.close()


@pytest.mark.django_db(transaction=True)
class TestWhoMay:
    @pytest.fixture
    def session(self, alice: User, client: Any) -> str:
        client.force_login(alice)
        return str(client.session.session_key)

    def read(self, alice: User, session: str) -> tuple[Close | None, bool]:
        [(refusal, offers, resumable)] = greeting.read([Asked(alice.pk, session_hash(session), "en", True)])
        assert bool(offers) is (refusal is None)
        return refusal, resumable

    def test_one_that_is_logged_in(self, alice: User, session: str) -> None:
        assert self.read(alice, session) == (None, True)

    def test_somebody_without_an_account(self, alice: User, session: str) -> None:
        User.objects.update(is_active=False)
        assert self.read(alice, session) == (Close.SESSION_ENDED, False)

    def test_an_old_session(self, alice: User, session: str) -> None:
        Session.objects.update(expire_date="2020-01-01T00:00Z")
        assert self.read(alice, session) == (Close.SESSION_ENDED, False)

    def test_another_password(self, alice: User, session: str) -> None:
        User.objects.update(password="another")
        assert self.read(alice, session) == (Close.SESSION_ENDED, False)

    def test_a_second_factor_that_may_be_due(self, alice: User, session: str) -> None:
        """The page asks for a ticket, as it always did: that looks at second factors."""
        first = Asked(alice.pk, session_hash(session), "en", False)
        with override_settings(SECOND_FACTOR_REQUIRED={"everybody"}):
            assert self.read(alice, session) == (Close.GOING_AWAY, False)
            assert greeting.read([first])[0][::2] == (None, False)
        with override_settings(SECOND_FACTOR_REQUIRED={"staff"}):
            assert self.read(alice, session) == (None, True)
            User.objects.update(is_staff=True)
            assert self.read(alice, session) == (Close.GOING_AWAY, False)
            assert greeting.read([first])[0][::2] == (None, False)

    def test_terms_that_may_be_new(self, alice: User, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(resuming, "site", lambda: Site("Chat", terms=3))
        assert self.read(alice, session) == (Close.GOING_AWAY, False)

    def test_an_unknown_session(self, alice: User) -> None:
        assert self.read(alice, uuid.uuid4().hex) == (Close.SESSION_ENDED, False)

    def test_many_at_once(self, alice: User, session: str, bob: User) -> None:
        """Each gets what is theirs, in the order in which they are asked about."""
        here, foreign = session_hash(session), uuid.uuid4().hex
        asked = [(bob, here), (alice, here), (alice, foreign), (alice, here)]
        found = greeting.read([Asked(user.pk, hash_, "en", True) for user, hash_ in asked])
        assert [one.refusal for one in found] == [Close.SESSION_ENDED, None, Close.SESSION_ENDED, None]
        assert [bool(one.offers) for one in found] == [False, True, False, True]
