"""A Firefox without windows, driven by its own protocol. Playwright drives only its own build of Firefox.

https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

FIREFOX: Final = shutil.which("firefox-esr") or shutil.which("firefox")
WAIT_SECONDS: Final = 90.0
ENTER: Final = "\ue007"
CONTROL: Final = "\ue009"
ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element's id in WebDriver's answers
PREFERENCES: Final = {
    "dom.events.testing.asyncClipboard": True,  # scripts may read the clipboard
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.enabled": False,
}


class FirefoxError(Exception):
    """What Firefox answered instead of a result."""


def until(check: Callable[[], Any], what: str) -> Any:
    """What `check` returns once it is true. What fails because the page is changing is tried again."""
    end = time.monotonic() + WAIT_SECONDS
    problem: Exception | None = None
    while time.monotonic() < end:
        try:
            if found := check():
                return found
        except FirefoxError as error:
            problem = error
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {WAIT_SECONDS:.0f} s ({problem})")


class Firefox:
    """One with a new profile in `folder`. `close` ends it."""

    def __init__(self, folder: Path) -> None:
        port = _free_port()
        lines = {**PREFERENCES, "marionette.port": port}
        (folder / "user.js").write_text("".join(f'user_pref("{n}", {json.dumps(v)});\n' for n, v in lines.items()))
        command = [str(FIREFOX), "--headless", "--marionette", "--no-remote", "--profile", str(folder), "about:blank"]
        env = {**os.environ, "HOME": str(folder)}
        self.process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._socket: socket.socket | None = None
        self._number = 0
        try:
            self._connect(port)
            self.command("WebDriver:NewSession", {})
            self.command("WebDriver:SetWindowRect", {"width": 1280, "height": 950})
        except BaseException:
            self.close()
            raise

    def _connect(self, port: int) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while self._socket is None:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.1)
        self._read()  # who it is

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """The result of a WebDriver command. Raises `FirefoxError`."""
        assert self._socket is not None
        self._number += 1
        body = json.dumps([0, self._number, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(body), body))
        _, number, error, result = self._read()
        assert number == self._number, (name, number)
        if error:
            raise FirefoxError(f"{name}: {error['error']}: {error['message']}")
        return result.get("value") if isinstance(result, dict) else result

    def _read(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            length += self._take(1)
        return json.loads(self._take(int(length[:-1])))

    def _take(self, size: int) -> bytes:
        assert self._socket is not None
        taken = b""
        while len(taken) < size:
            piece = self._socket.recv(size - len(taken))
            if not piece:
                raise ConnectionError("Firefox has closed the connection.")
            taken += piece
        return taken

    def run(self, script: str, *given: Any) -> Any:
        """What the body of a function returns, in the page."""
        return self.command("WebDriver:ExecuteScript", {"script": script, "args": list(given)})

    def open(self, url: str) -> None:
        """Opens a page, with its scripts run: what is typed before would be lost."""
        self.command("WebDriver:Navigate", {"url": url})
        until(lambda: self.run("return document.readyState") == "complete", f"{url} is loaded")

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def find(self, selector: str) -> str:
        """The id of an element, once there is one."""

        def found() -> Any:
            return self.command("WebDriver:FindElement", {"using": "css selector", "value": selector})[ELEMENT]

        return str(until(found, selector))

    def click(self, selector: str) -> None:
        def click() -> bool:
            self.command("WebDriver:ElementClick", {"id": self.find(selector)})
            return True

        until(click, f"{selector} can be clicked")

    def type(self, selector: str, keys: str) -> None:
        self.command("WebDriver:ElementSendKeys", {"id": self.find(selector), "text": keys})

    def shows(self, selector: str, words: str) -> None:
        until(lambda: words in self.text(selector), f"{selector} shows {words!r}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
