"""The handshake and every way to end a session, on two real web processes."""

from __future__ import annotations

import asyncio
import base64
import http.client
import os
from urllib.parse import urlsplit

import aiohttp
import pytest
from yarl import URL

from tests.client import PASSWORD, Client, Session, session
from tests.stack import Stack, Web, run_stack

NEW = "quite another battery"
KEEPER = f"""
from django.contrib.auth.models import Permission
from accounts.models import User
keeper = User.objects.create_user("keeper@example.org", {PASSWORD!r}, is_staff=True)
keeper.user_permissions.set(Permission.objects.filter(content_type__app_label="accounts"))
"""


@pytest.fixture(scope="module", autouse=True)
def keeper(stack: Stack) -> None:
    stack.manage("shell", "--no-imports", "-c", KEEPER)


class TestEndings:
    """Each within 2 s, with 4401, on both processes, and nobody else's socket."""

    async def check(self, stack: Stack, way: str) -> None:
        email = await asyncio.to_thread(stack.add_user, way)  # ending sessions must not disturb another test
        async with (
            session(stack.url, email, fresh=True) as here,
            session(stack.url, email, fresh=True) as there,
            session(stack.url, "bob@example.org") as bob,
        ):
            mine = [await here.connect(), await there.connect(at=stack.webs[1].url)]
            stranger = await bob.connect(at=stack.webs[1].url)
            await getattr(self, way)(stack, email, here)
            assert [await socket.closed(2) for socket in mine] == [4401, 4401]
            refused = await there.post("/ws/ticket/")
            assert refused.status == 403
            assert (await stranger.ask("ping"))["type"] == "pong"
            await stranger.close()

    @pytest.mark.parametrize(
        "way", ["change_password", "reset_by_shell", "switch_off", "end_by_staff", "delete", "switch_off_in_bulk"]
    )
    async def test_each_way(self, stack: Stack, way: str) -> None:
        await self.check(stack, way)

    async def change_password(self, stack: Stack, email: str, here: Session) -> None:
        form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
        assert (await here.post("/accounts/password/change/", form)).status == 302
        await (await here.connect()).close()  # the browser that changed it goes on at once

    async def reset_by_shell(self, stack: Stack, email: str, here: Session) -> None:
        await self.shell(stack, email, f"user.set_password({NEW!r}); user.save()")

    async def delete(self, stack: Stack, email: str, here: Session) -> None:
        await self.shell(stack, email, "user.delete()")

    async def switch_off_in_bulk(self, stack: Stack, email: str, here: Session) -> None:
        await self.shell(stack, email, "User.objects.filter(pk=user.pk).update(is_active=False)")

    async def shell(self, stack: Stack, email: str, deed: str) -> None:
        script = f"from accounts.models import User; user = User.objects.get(email={email!r}); {deed}"
        await asyncio.to_thread(stack.manage, "shell", "--no-imports", "-c", script)

    async def switch_off(self, stack: Stack, email: str, here: Session) -> None:
        await self.staff_action(stack, email, "switch_off")

    async def end_by_staff(self, stack: Stack, email: str, here: Session) -> None:
        await self.staff_action(stack, email, "end_sessions")

    async def staff_action(self, stack: Stack, email: str, action: str) -> None:
        (row,) = stack.sql("SELECT id FROM accounts_user WHERE email = %s", email)
        async with session(stack.webs[1].url, "keeper@example.org") as keeper:
            chosen = {"action": action, "_selected_action": str(row["id"]), "confirmed": "1", "reason": "a test"}
            answer = await keeper.post("/admin/accounts/user/", chosen)
            assert answer.status == 302


async def test_ending_the_other_session_from_the_settings_page(stack: Stack) -> None:
    email = await asyncio.to_thread(stack.add_user, "settings")
    async with session(stack.url, email, fresh=True) as here, session(stack.url, email, fresh=True) as there:
        mine, other = await here.connect(), await there.connect(at=stack.webs[1].url)
        assert (await here.post("/accounts/sessions/end-others/")).status == 302
        assert await other.closed(2) == 4401
        assert (await mine.ask("ping"))["type"] == "pong"
        await mine.close()


def upgrade(web: Web, **headers: str | None) -> int:
    """The status of an upgrade with these headers instead of the right ones; None leaves one out."""
    connection = http.client.HTTPConnection(urlsplit(web.url).netloc, timeout=10)
    path = headers.pop("path", None) or "/ws/"
    sent = {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": base64.b64encode(os.urandom(16)).decode(),
        "origin": web.url,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    try:
        connection.putrequest("GET", path)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value.encode("latin-1"))
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


async def credentials(client: Session) -> dict[str, str | None]:
    jar = client.http.cookie_jar.filter_cookies(URL(client.url))
    cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())
    return {"cookie": cookie, "sec_websocket_protocol": f"chat.v1, ticket.{await client.ticket()}"}


class TestUpgrade:
    async def test_once_and_only_once(self, stack: Stack) -> None:
        async with session(stack.url, "alice@example.org") as alice:
            right = await credentials(alice)
            statuses = await asyncio.gather(
                *[asyncio.to_thread(upgrade, stack.webs[number % 2], **right) for number in range(20)]
            )
            assert sorted(statuses) == [101] + [403] * 19

    @pytest.mark.parametrize(
        "wrong",
        [
            {"origin": None},
            {"origin": "null"},
            {"origin": "http://evil.example"},
            {"origin": "https://127.0.0.1"},
            {"cookie": None},
            {"cookie": "sessionid=somebody-else-s"},
            {"sec_websocket_protocol": None},
            {"sec_websocket_protocol": "chat.v1"},
            {"sec_websocket_protocol": "chat.v1, ticket." + "x" * 43},
            {"path": "/ws"},
            {"path": "/ws/other/"},
            {"path": "/"},
        ],
    )
    async def test_refused_with_403(self, stack: Stack, wrong: dict[str, str | None]) -> None:
        async with session(stack.url, "alice@example.org") as alice:
            right = await credentials(alice)
            assert await asyncio.to_thread(upgrade, stack.webs[0], **{**right, **wrong}) == 403
            if "sec_websocket_protocol" not in wrong and "cookie" not in wrong:
                assert await asyncio.to_thread(upgrade, stack.webs[0], **right) == 101  # not used up by the refusal

    @pytest.mark.parametrize("garbage", ["chat.v1, ticket.\xff\xfe", "%ff%fe", "\xe9", ",,,", "chat.v1," + "x," * 2000])
    async def test_garbage_harms_nobody(self, stack: Stack, garbage: str) -> None:
        async with session(stack.url, "alice@example.org") as alice:
            right = await credentials(alice)
            for name in ("sec_websocket_protocol", "origin", "cookie"):
                status = await asyncio.to_thread(upgrade, stack.webs[0], **{**right, name: garbage})
                assert status >= 400
            assert await asyncio.to_thread(upgrade, stack.webs[0], **right) == 101


async def test_no_secret_in_any_log(stack: Stack) -> None:
    async with session(stack.url, "alice@example.org", fresh=True) as alice:
        right = await credentials(alice)
        wrong = {**right, "origin": "http://evil.example"}
        assert await asyncio.to_thread(upgrade, stack.webs[0], **wrong) == 403
        assert await asyncio.to_thread(upgrade, stack.webs[0], **right) == 101
        assert await asyncio.to_thread(upgrade, stack.webs[0], **right) == 403
        await alice.post("/accounts/logout/")
    written = "".join(process.output() for process in stack.processes)
    assert "http://evil.example" in written
    assert '"reason": "ticket"' in written
    ticket = str(right["sec_websocket_protocol"]).partition("ticket.")[2]
    secrets = [ticket, PASSWORD, *[part.partition("=")[2] for part in str(right["cookie"]).split("; ")]]
    assert [secret for secret in secrets if secret in written] == []


class TestRedisAway:
    async def test_pages_say_so(self) -> None:
        """Logging in needs the counts of failed tries; logging out and one's settings need PostgreSQL alone."""
        with run_stack(web=1, workers=0) as stack:
            async with (
                session(stack.url, "alice@example.org", fresh=True) as alice,
                aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
            ):
                await (await http.get(stack.url + "/accounts/login/")).read()
                stack.redis.stop()
                visitor = Session(stack.url, http)
                answer = await visitor.post("/accounts/login/", {"login": "bob@example.org", "password": PASSWORD})
                assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
                assert "Temporarily unavailable" in await answer.text()
                assert (await alice.post("/ws/ticket/")).status == 503
                assert (await alice.http.get(stack.url + "/accounts/settings/")).status == 200
                assert (await alice.post("/accounts/logout/")).status == 302
                assert (await alice.post("/ws/ticket/")).status == 403
            assert "revocation_not_announced" in stack.webs[0].output()

    async def test_a_session_ended_meanwhile_is_noticed_afterwards(self) -> None:
        """Nobody hears the message; the socket asks PostgreSQL when Redis is back."""
        with run_stack(web=1, workers=0) as stack:
            async with session(stack.url, "alice@example.org", fresh=True) as alice:
                client: Client = await alice.connect()
                stack.redis.stop()
                off = "from accounts.models import User; User.objects.filter(name='Alice').update(is_active=False)"
                await asyncio.to_thread(stack.manage, "shell", "--no-imports", "-c", off)
                (row,) = stack.sql("SELECT is_active FROM accounts_user WHERE name = 'Alice'")
                assert row == {"is_active": False}
                stack.redis.start()
                assert await client.closed(30) == 4401
