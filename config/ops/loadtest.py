"""The load test of `manage.py loadtest`: simulated users send messages to a running server at an even rate."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from config.ops.load_client import ANSWER_SECONDS, Account, RefusedError, Results, SimulatedUser

__all__ = ["Plan", "RefusedError", "run"]

SOCKETS_PER_ACCOUNT: Final = 10  # of created accounts: the server allows 20 per user
ACCOUNTS: Final = 15  # created at most: the server allows 20 sign-ups a minute from one address
CONNECT_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Plan:
    """What to do: `users` sockets that together send `rate` messages a second, for `seconds`."""

    url: str
    users: int
    rate: float
    seconds: float
    text: str
    model: str = ""
    email: str = ""
    password: str = ""


async def run(plan: Plan, *, on_progress: Callable[[str], None]) -> dict[str, Any]:
    """Carries out the test; returns `Results.report` with the accounts that were created. Raises `RefusedError`.

    `on_progress` is called with lines about the progress.
    """
    results = Results()
    accounts: list[Account] = []
    users: list[SimulatedUser] = []
    created: list[str] = []
    sending: set[asyncio.Task[None]] = set()
    try:
        try:
            created = await _log_in(plan, accounts)
            for number in range(plan.users):
                async with asyncio.timeout(CONNECT_SECONDS):
                    users.append(SimulatedUser(await accounts[number % len(accounts)].open(), results))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise RefusedError(f"Cannot connect to {plan.url} ({type(error).__name__}).") from None
        on_progress(f"{len(users)} sockets of {len(accounts)} accounts are open.")
        began = time.monotonic()
        await _send_messages(plan, users, results, sending, on_progress)
        if sending:
            await asyncio.wait(sending, timeout=ANSWER_SECONDS)
        return {"users": plan.users, "rate": plan.rate, **results.report(time.monotonic() - began), "accounts": created}
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await asyncio.gather(*(user.close() for user in users))
        await asyncio.gather(*(account.http.close() for account in accounts))


async def _log_in(plan: Plan, accounts: list[Account]) -> list[str]:
    """Logs in, or creates accounts for this test, and adds them to `accounts`; the created ones' email addresses."""
    if plan.email:
        accounts.append(Account(plan.url))
        await accounts[0].submit_form("/accounts/login/", {"login": plan.email, "password": plan.password}, "Log-in")
        return []
    created: list[str] = []
    name, password = secrets.token_hex(4), secrets.token_urlsafe(24)
    for number in range(min(ACCOUNTS, -(-plan.users // SOCKETS_PER_ACCOUNT))):
        accounts.append(Account(plan.url))
        email = f"loadtest-{name}-{number}@example.org"
        await accounts[-1].submit_form("/accounts/signup/", {"email": email, "password1": password}, "Sign-up")
        created.append(email)
    return created


async def _send_messages(
    plan: Plan,
    users: list[SimulatedUser],
    results: Results,
    sending: set[asyncio.Task[None]],
    on_progress: Callable[[str], None],
) -> None:
    """Sends messages at an even rate, each by a user without a pending answer; without one they are sent late."""
    loop = asyncio.get_running_loop()
    began = reported = loop.time()
    due = 0
    while (now := loop.time()) - began < plan.seconds:
        while due < (now - began) * plan.rate and (free := [user for user in users if user.free]):
            due += 1
            task = asyncio.create_task(random.choice(free).send_message(plan.text, plan.model))
            sending.add(task)
            task.add_done_callback(sending.discard)
            await asyncio.sleep(0)  # starts the task, so that this user is no longer free
        if now - reported >= 5:
            reported = now
            errors = sum(results.errors.values())
            on_progress(f"{now - began:4.0f} s: {results.sent} sent, {results.answered} answered, {errors} errors")
        if not any(user.connected for user in users):
            return
        await asyncio.sleep(min(0.02, 1 / plan.rate))
