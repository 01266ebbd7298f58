"""What programs and browsers use beside pages and sockets, through each proxy: the API, files, SCIM, SAML, HTTP/2."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import re
import time
from html import unescape
from typing import Any

import aiohttp
import pytest

from tests.chaos.driving import answer
from tests.client import session
from tests.deployment.closing import let_connections_close
from tests.deployment.sites import Site
from tests.fixtures.api_tokens import add_token
from tests.fixtures.saml_provider import Keys, encode, read_question, response

__all__ = ["let_connections_close"]  # for the tests here
pytestmark = [pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(180)]
LARGEST = 64 << 20  # FILE_MAX_MB
MAKE_SCIM_TOKEN = """
from accounts.models import ScimToken
from accounts.scim.tokens import give_secret
token = ScimToken(name="Entra ID")
secret = give_secret(token)
token.save()
print(secret)
"""


async def test_answers_of_the_api_stream_as_they_are_written(site: Site) -> None:
    body = {
        "model": "small", "stream": True,
        "messages": [{"role": "user", "content": "Long [[tokens=60 rate=40]]"}],
    }  # fmt: skip
    headers = {"Authorization": f"Bearer {add_token(site.stack)}"}
    text, times = "", list[float]()
    async with aiohttp.ClientSession(headers=headers) as http:
        reply = await http.post(f"{site.url}/v1/chat/completions", json=body, ssl=site.trust)
        assert (reply.status, reply.content_type) == (200, "text/event-stream"), await reply.text()
        assert "Content-Encoding" not in reply.headers
        async for line in reply.content:
            if line.startswith(b"data: {"):
                times.append(time.monotonic())
                for choice in json.loads(line[6:])["choices"]:
                    text += choice["delta"].get("content") or ""
    assert text == answer(60)
    assert times[-1] - times[0] > 0.5, "it came as it was written"


async def test_a_file_of_the_largest_size_goes_up_in_chunks_and_comes_back(site: Site) -> None:
    content = os.urandom(1 << 20) * (LARGEST >> 20)
    async with session(site.url, trust=site.trust) as alice:
        headers = {"X-CSRFToken": alice._token(), "Origin": alice.url, "Referer": alice.url + "/"}

        async def ask(method: str, path: str, **more: Any) -> dict[str, Any]:
            async with alice.http.request(method, alice.url + path, headers=headers, **more) as reply:
                said = await reply.text()
                assert reply.status in (200, 201), (reply.status, said[:500])
                found: dict[str, Any] = json.loads(said)
                return found

        begun = await ask("POST", "/uploads/new/", json={"name": "large.bin", "size": len(content)})
        at = 0
        while at < len(content):
            part = content[at : at + begun["chunk_bytes"]]
            at = (await ask("PUT", f"/uploads/{begun['id']}/?offset={at}", data=io.BytesIO(part)))["received"]
        file = (await ask("POST", f"/uploads/{begun['id']}/finish/"))["file"]
        assert file["size"] == LARGEST
        back = hashlib.sha256()
        async with alice.http.get(f"{alice.url}/attachments/{file['id']}/") as reply:
            assert (reply.status, reply.content_length) == (200, LARGEST)
            async for block in reply.content.iter_chunked(1 << 20):
                back.update(block)
    assert back.digest() == hashlib.sha256(content).digest()


async def test_a_directory_creates_changes_and_ends_an_account(site: Site) -> None:
    secret = (await asyncio.to_thread(site.stack.manage, "shell", "--no-imports", "-c", MAKE_SCIM_TOKEN)).strip()
    users = f"{site.url}/scim/v2/Users"
    ada = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ada@example.org", "displayName": "Ada", "active": True,
    }  # fmt: skip
    switch = {"Operations": [{"op": "replace", "path": "active", "value": False}]}
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/scim+json"}
    async with aiohttp.ClientSession(headers=headers) as http:
        made = await http.post(users, data=json.dumps(ada), ssl=site.trust)
        assert made.status == 201, await made.text()
        address = made.headers["Location"]
        assert address.startswith(f"{users}/"), "by the name that the directory knows"
        changed = await http.patch(address, data=json.dumps(switch), ssl=site.trust)
        assert (changed.status, (await changed.json(content_type=None))["active"]) == (200, False)
        assert (await http.delete(address, ssl=site.trust)).status == 204
        left = await http.get(address, ssl=site.trust)
        assert (left.status, (await left.json(content_type=None))["active"]) == (200, False), (
            "it is kept, and may not log in"
        )


async def test_a_provider_of_saml_logs_somebody_in(site: Site, idp: Keys) -> None:
    """What is signed names the site's address as browsers know it. The provider's page posts from another site."""
    jar = aiohttp.CookieJar()
    acs = f"{site.url}/accounts/saml/acme/acs/"
    async with aiohttp.ClientSession(cookie_jar=jar, connector=aiohttp.TCPConnector(ssl=site.trust)) as http:
        page = await (await http.get(f"{site.url}/accounts/saml/acme/login/")).text()
        [token] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        leave = await http.post(
            f"{site.url}/accounts/saml/acme/login/", data={"csrfmiddlewaretoken": token},
            headers={"Origin": site.url, "Referer": site.url + "/"},
        )  # fmt: skip
        page = await leave.text()
        assert leave.status == 200, page[:500]
        [address, *_] = re.findall(r'https://idp\.example\.org/sso\?[^"\s]+', page)
        asked = read_question(unescape(address))
        assert asked.acs == acs
        said = encode(response(idp, asked, {"mail": ["ana@example.org"], "displayName": ["Ana"]}))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=site.trust)) as without_cookies:
            posted = await without_cookies.post(
                acs, data={"SAMLResponse": said}, headers={"Origin": "https://idp.example.org"}, allow_redirects=False
            )
            assert posted.status == 302, await posted.text()
            jar.update_cookies(posted.cookies, posted.url)
        arrived = await http.get(site.url + posted.headers["Location"].removeprefix(site.url))
        assert (arrived.status, arrived.url.path) == (200, "/"), arrived.url
        settings = await (await http.get(f"{site.url}/accounts/settings/account/")).text()
    assert "Ana" in settings


async def test_what_sockets_send_is_not_compressed(site: Site) -> None:
    """Neither the program nor a proxy takes up a browser's offer."""
    async with session(site.url, trust=site.trust) as alice:
        socket = await alice.http.ws_connect(
            site.url.replace("http", "ws", 1) + "/ws/", protocols=("chat.v1", f"ticket.{await alice.ticket()}"),
            origin=site.url, compress=15,
        )  # fmt: skip
        assert (socket.protocol, socket.compress) == ("chat.v1", 0)
        await socket.close()
