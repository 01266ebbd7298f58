"""What `test_private_text_in_output` has people do with tools, links and mails, and a mail server that keeps mails."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socketserver
import threading
from collections.abc import Generator
from email import message_from_string
from email.message import Message
from email.policy import default
from typing import Any

import aiohttp

from tests.client import Client, Session
from tests.fakes.notebook import Notebook, set_up
from tests.stack import Stack

TOOL_KEY = "tool-canary-8b21f0c4"
ENDPOINT_KEY = "endpoint-canary-4e7a9d13"


class Mailbox:
    """An SMTP server that keeps what it gets."""

    def __init__(self) -> None:
        self.raw: list[str] = []
        self.port = 0

    @property
    def mails(self) -> list[Message]:
        return [message_from_string(one, policy=default) for one in self.raw]

    def text(self) -> str:
        """All subjects and texts."""
        return "\n".join(f"{one['To']} {one['Subject']}\n{one.get_content()}" for one in self.mails)  # type: ignore[attr-defined]

    async def until(self, words: str) -> str:
        """The texts, once one has these words."""
        async with asyncio.timeout(20):
            while words not in self.text():
                await asyncio.sleep(0.05)
        return self.text()


@contextlib.contextmanager
def mailbox() -> Generator[Mailbox, None, None]:
    box = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    box.raw.append(b"".join(lines).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 fine\r\n")
                if word == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        box.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield box
        server.shutdown()


def add_servers(stack: Stack, api: str, models: str) -> None:
    """A tool server that needs a key, and a model server that needs one."""
    lines = [
        set_up(api),
        f"server.set_headers({{'X-Api-Key': {TOOL_KEY!r}}}); server.auth = 'headers'; server.save()",
        "from workers.models import Endpoint",
        f"endpoint = Endpoint(name='Second', base_url={models!r})",
        f"endpoint.set_key({ENDPOINT_KEY!r}); endpoint.save()",
    ]
    stack.manage("shell", "--no-imports", "-c", "\n".join(lines))


async def call_tools(client: Client, notebook: Notebook, words: str) -> None:
    """Own tools and one of a server, whose call waits for a decision, each with private arguments and results; one call
    that fails with them, and a question that is answered.
    """
    calls = [
        f'call=make_file {{"name": "{words}.txt", "content": "{words}"}}',
        f'call=calculate {{"expression": "{words}"}}',
        f'call=no_such_tool {{"text": "{words}"}}',
        f'call=current_time {{"{words}": 1}}',
        f'call=search_conversations {{"query": "{words}"}}',
    ]
    for call in calls:
        accepted = await client.say(f"{words} [[{call}]]")
        await client.ended(accepted["run_id"], seconds=40)
    decisions: list[dict[str, Any]] = [{"decision": "deny", "reason": words}, {"decision": "once"}]
    for decision in decisions:
        accepted = await client.say(f'{words} [[call=write_note {{"body": {{"text": "{words}"}}}}]]')
        waiting = await client.next("tool.approval", seconds=40)
        decided = await client.ask(
            "tool.decide", run_id=accepted["run_id"], call_id=waiting["call_id"], **decision
        )  # fmt: skip
        assert decided["type"] == "ok", decided
        await client.ended(accepted["run_id"], seconds=40)
    assert notebook.happened, "it was called"


async def use_links(alice: Session, conversation: str) -> dict[str, str]:
    """Somebody is added, links are made and opened. Returns their secrets."""
    added = await alice.post(f"/c/{conversation}/members/add/", {"email": "bob@example.org", "role": "editor"})
    assert added.status == 200, await added.text()
    made = await alice.post(f"/c/{conversation}/members/links/", {"role": "viewer", "days": "7"})
    join = str((await made.json())["url"]).partition("#")[2]
    made = await alice.post(f"/c/{conversation}/shares/new/", {"kind": "live", "audience": "users", "days": "7"})
    share = str((await made.json())["url"]).rpartition("/")[2]
    assert join
    assert share
    await alice.post("/join/", {"secret": join})
    for path in (f"/s/{share}", f"/s/{share}?q=1", f"/s/{share}/nowhere/"):
        async with alice.http.get(alice.url + path) as page:
            await page.read()
    async with alice.http.get(f"{alice.url}/s/{share}/events") as stream:
        await stream.content.readline()
    return {"a share link's secret": share, "a join link's secret": join}


async def forget_password(stack: Stack, box: Mailbox) -> dict[str, str]:
    """Bob has a link mailed by which he could choose a password, and opens it."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        bob = Session(stack.url, http)
        async with http.get(f"{stack.url}/accounts/password/reset/") as page:
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', await page.text())
        assert token is not None
        form = {"email": "bob@example.org", "csrfmiddlewaretoken": token[1]}
        await bob.post("/accounts/password/reset/", form)
        said = await box.until("choose a new password")
        found = re.search(r"/accounts/password/open/#(\S+)", said)
        assert found is not None, said
        opened = await bob.post("/accounts/password/open/", {"secret": found[1]})
        assert opened.status == 302, opened.status
    return {"a reset link's secret": found[1]}


def written_under(stack: Stack) -> dict[str, Any]:
    """The files of the stack but those of the database and of Redis, whose users' words they are there for."""
    found = {}
    for path in sorted(stack.folder.rglob("*")):
        inside = path.relative_to(stack.folder).parts
        if path.is_file() and inside[0] not in ("p", "r"):
            found["/".join(inside)] = path.read_bytes().decode(errors="replace")
    return found
