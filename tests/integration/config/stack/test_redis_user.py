"""The Redis user that docs/security.md recommends may do what Antiphon does, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from config.stack.valkey import PrivateValkey
from tests.client import session
from tests.servers import servers
from tests.stack import ROOT, Stack

PASSWORD = "a-long-random-password"


@pytest.fixture
def server() -> Generator[PrivateValkey, None, None]:
    made = PrivateValkey(Path(servers.folder, "acl"))
    made.start()
    yield made
    made.stop()


async def test_an_answer_arrives_under_the_recommended_user(live: Callable[..., Stack], server: PrivateValkey) -> None:
    found = re.search(r"^ACL SETUSER .+$", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE)
    assert found is not None
    with redis.Redis(unix_socket_path=str(server.socket)) as administrator:
        administrator.execute_command(*found[0].replace("LONG-RANDOM-PASSWORD", PASSWORD).split())
        administrator.execute_command("ACL", "SETUSER", "default", "off")
    url = f"unix://antiphon:{PASSWORD}@{quote(str(server.socket))}"
    with redis.Redis.from_url(url) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.config_get("dir")
    stack = live(env={"REDIS_URL": url})
    async with session(stack.url) as browser:
        tab = await browser.connect()
        accepted = await tab.say("Hi [[tokens=3]]")
        assert (await tab.ended(accepted["run_id"]))["ended"] == "run.done"
        await tab.close()
    assert "NOPERM" not in stack.logs()
