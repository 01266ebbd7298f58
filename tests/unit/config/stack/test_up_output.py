"""What `manage.py up` tells the operator."""

from __future__ import annotations

from pathlib import Path

from config.management.commands.up import describe
from config.stack.local import LocalStack, Options


def shown(folder: Path, *origins: str, https: bool) -> str:
    options = Options(
        host="127.0.0.1", port=8000, web=1, workers=1, database_url="", redis_url="", admin_email="", admin_password="",
        origins=origins, https=https, stuck_seconds=30,
    )  # fmt: skip
    stack = LocalStack(folder, folder, options)
    stack.url = "http://127.0.0.1:8000"
    stack.admin = {"email": "admin@localhost", "password": "secret"}
    return describe(stack, "demo", 1.0)


def test_behind_a_proxy_every_address_is_the_proxy_s(tmp_path: Path) -> None:
    text = shown(tmp_path, "https://chat.example.org", https=True)
    assert "Open    https://chat.example.org\n" in text
    assert "Staff   https://chat.example.org/admin/\n" in text
    assert "http://" not in text


def test_on_this_machine_they_are_its_own(tmp_path: Path) -> None:
    text = shown(tmp_path, https=False)
    assert "Staff   http://127.0.0.1:8000/admin/\n" in text
