"""`python -m tests.bench.visit`: what a browser loads on a first visit, when it paints, and what that costs.

Each page in a new context with nothing in its cache: log-in, sign-up, a new conversation and one of four messages
beside a nearly empty list; then with 50 conversations in the list, one of 20 messages, and a shared page. First paints
are medians of five, with the CPU at a quarter of its speed and a slow 4G network as Lighthouse has it (150 ms, 1.6
Mbit/s). CPU times are those of the browser and the server together, unslowed.
"""

from __future__ import annotations

import statistics
from typing import Any

import psutil
from playwright.sync_api import Browser, StorageState, sync_playwright

from tests.e2e.browsing import chromium, cookies_of, ended, send
from tests.e2e.first_visits import Visit, fill_list, first_paint, watch_visit
from tests.fixtures.stacks import SHARED, stack_with_model
from tests.servers import servers

TIMES = 5


def visit(browser: Browser, url: str, login: StorageState | None, *, slow: bool) -> tuple[Visit, float]:
    """What a visit loaded, and its first paint in milliseconds."""
    context = browser.new_context(storage_state=login, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    found = watch_visit(page, slow=slow)
    page.goto(url, wait_until="networkidle", timeout=60_000)
    painted = first_paint(page)
    context.close()
    return found, painted


def cpu_seconds() -> float:
    """Of this process's children, theirs too, and those that a stack forked."""
    total = 0.0
    for process in psutil.process_iter(["name", "cmdline"]):
        try:
            if any(parent.pid == psutil.Process().pid for parent in process.parents()):
                total += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def loads(browser: Browser, url: str, login: StorageState | None, *, cached: bool) -> float:
    """CPU seconds of a page load; `cached`: its files are in the browser's cache."""
    context = browser.new_context(storage_state=login)
    page = context.new_page()
    if cached:
        page.goto(url, wait_until="networkidle")
    times = []
    for _ in range(TIMES if cached else 1):
        before = cpu_seconds()
        page.goto(url, wait_until="networkidle")
        times.append(cpu_seconds() - before)
    context.close()
    return statistics.median(times)


def main() -> None:
    with stack_with_model(web=1, workers=1, env=SHARED) as (stack, _), sync_playwright() as playwright:
        login: Any = cookies_of(playwright, stack)
        with chromium(playwright) as browser:
            page = browser.new_context(storage_state=login).new_page()
            page.goto(stack.url)
            for number in (1, 2):
                send(page, "Tell me a story [[tokens=200 rate=1000]]")
                ended(page, number)
            pages = {
                "log in": (f"{stack.url}/accounts/login/", None),
                "sign up": (f"{stack.url}/accounts/signup/", None),
                "new": (f"{stack.url}/", login),
                "messages": (page.url, login),
            }
            page.context.close()
            print("| page | requests | KB | first paint | slow | CPU, first | CPU, cached |")
            print("|---|--:|--:|--:|--:|--:|--:|")
            for name in (*pages, "50 conversations", "20 messages", "shared"):
                if name not in pages:  # the rows before are of a list that is nearly empty
                    conversation, shared = fill_list(stack)
                    pages |= {"50 conversations": (f"{stack.url}/", login), "20 messages": (conversation, login)}
                    pages["shared"] = shared, None
                url, cookies = pages[name]
                found, painted = visit(browser, url, cookies, slow=False)
                slow = statistics.median(visit(browser, url, cookies, slow=True)[1] for _ in range(TIMES))
                first = statistics.median(loads(browser, url, cookies, cached=False) for _ in range(TIMES))
                again = loads(browser, url, cookies, cached=True)
                print(f"| {name} | {len(found.requests)} | {found.kilobytes:.0f} | {painted:.0f} ms | {slow:.0f} ms "
                      f"| {first:.2f} s | {again:.2f} s |", flush=True)  # fmt: skip


if __name__ == "__main__":
    servers.set_environment()
    servers.start()
    try:
        main()
    finally:
        servers.stop()
