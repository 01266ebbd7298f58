"""`manage.py seed_demo`: creates a demo user with conversations."""

from __future__ import annotations

import secrets
import time
from datetime import timedelta
from typing import Any, Final

from allauth.account.models import EmailAddress
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from chat.eventlog.html_requests import notify_of_import
from chat.management import scale_seed
from chat.management.terminal import Bar, show_examples
from chat.portability.formats import ImportedConversation, ImportedMessage
from chat.portability.importer import save_conversation

ADDRESS: Final = "demo@localhost"
FEW_ACCOUNTS: Final = 3  # that an installation has which nobody uses yet
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
        f"Creates the user {ADDRESS} with a few conversations, and prints a password once. Repeating it adds nothing. "
        "With --scale it fills a database of its own instead: 2,025 people, 160,000 conversations, 775,000 messages, "
        "413,000 runs, a million usage entries and 100,000 audit entries, in some minutes. Nobody can log in as them. "
        "Exit code 0, or 1 with nothing done."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--scale", type=float, nargs="?", const=1.0, metavar="FACTOR",
            help="many rows, to try pages and commands at scale; 0.1 is a tenth (default: 1)",
        )  # fmt: skip
        parser.add_argument("--yes", action="store_true", help="with --scale: also where there are accounts of people")
        show_examples(
            parser,
            ("seed_demo", "create them, and print the password"),
            ("seed_demo --scale", "in a database that you can throw away"),
            ("seed_demo --scale 0.01", "a hundredth of it"),
            (f"erase_user {ADDRESS} --now", "delete all of it again"),
        )

    def handle(self, *_args: object, **options: Any) -> None:
        if options["scale"] is not None:
            self._scale(options["scale"], sure=options["yes"])
            return
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

    def _scale(self, factor: float, *, sure: bool) -> None:
        """Refuses a database in which people work: what is added cannot be told apart in its lists and sums."""
        if not 0 < factor <= 10:
            raise CommandError("--scale takes a number above 0 and up to 10.")
        if scale_seed.is_seeded():
            raise CommandError("This database has been seeded already. Use another one.")
        if not sure and User.objects.exclude(email=ADDRESS).count() > FEW_ACCOUNTS:
            raise CommandError("There are accounts of people here. Use a database of its own, or --yes.")
        began = time.monotonic()
        with Bar() as bar:
            counts = scale_seed.seed(scale_seed.Scale.of(factor), bar.show)
        for name, count in counts.items():
            self.stdout.write(f"{count:>10,} {name}")
        self.stdout.write(f"in {time.monotonic() - began:.0f} s")


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
