"""`manage.py seed_demo`: creates a demo user with conversations."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any, Final

from allauth.account.models import EmailAddress
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from chat.eventlog.html_requests import notify_of_import
from chat.management.terminal import show_examples
from chat.portability.formats import ImportedConversation, ImportedMessage
from chat.portability.importer import save_conversation

ADDRESS: Final = "demo@localhost"
BREAD: Final = """Mix **400 g** flour, 300 g water, 8 g salt and a pinch of yeast.

1. Let it stand overnight.
2. Fold it twice.
3. Bake it at 230 °C in a closed pot."""
SIEVE: Final = """```python
def primes(limit):
    sieve = bytearray([1]) * (limit + 1)
    for n in range(2, int(limit**0.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = bytes(len(sieve[n * n :: n]))
    return [n for n in range(2, limit + 1) if sieve[n]]
```"""
PLANETS: Final = """| planet | diameter (km) | day |
|---|---|---|
| Mercury | 4 879 | 176 d |
| Venus | 12 104 | 117 d |
| Earth | 12 756 | 24 h |
| Mars | 6 792 | 24.7 h |"""
RYE: Final = "Up to a third of the flour may be rye; add 20 g of water."
SEEDS: Final = {
    "Bread without kneading": ("How do I bake bread without kneading?", BREAD, "And with rye?", RYE),
    "Primes in Python": ("Write a sieve of Eratosthenes.", SIEVE),
    "Planets": ("Compare the inner planets.", PLANETS),
}


class Command(BaseCommand):
    help = (
        f"Creates the user {ADDRESS} with a few conversations, and prints a password once. Repeating it adds nothing."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        show_examples(
            parser,
            ("seed_demo", "create them, and print the password"),
            (f"erase_user {ADDRESS} --now", "delete all of it again"),
        )

    def handle(self, *_args: object, **_options: Any) -> None:
        user = User.objects.filter(email=ADDRESS).first()
        if user is None:
            password = secrets.token_urlsafe(12)
            with transaction.atomic():
                user = User.objects.create_user(ADDRESS, password, name="Demo")
                EmailAddress.objects.create(user=user, email=ADDRESS, primary=True, verified=True)
            self.stdout.write(f"{ADDRESS}   password: {password}   (shown this once)")
        made = sum(save_conversation(user, chat) for chat in chats())
        if made:
            notify_of_import()
        self.stdout.write(f"{made} conversations.")


def chats() -> list[ImportedConversation]:
    found = []
    for age, (title, texts) in enumerate(SEEDS.items(), 1):
        moment = timezone.now() - timedelta(days=age)
        parent: str | None = None
        messages = []
        for place, text in enumerate(texts):
            name = str(place)
            role = "assistant" if place % 2 else "user"
            messages.append(ImportedMessage(name, parent, role, text, moment + timedelta(seconds=20 * place)))
            parent = name
        found.append(ImportedConversation(f"seed:{title}", title, messages, parent))
    return found
