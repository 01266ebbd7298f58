"""Makes the people of a run in the system's database, with sessions, and rooms that several of them share.

Logging in costs tens of milliseconds of password hashing each, which the bench is not about: only the first one
does it (`/accounts/login/`, by the runner). The others get the session a login would have made.

    python -m tests.bench.people --people 500 --rooms 20x25      prints {"sessions": […], "rooms": […]}
"""

from __future__ import annotations

import argparse
import json
from typing import Final

import django

PASSWORD: Final = "correct horse battery staple"
FIRST: Final = "bench0@example.org"


def make_people(count: int) -> tuple[list[str], list[str]]:
    """Cookie headers and user ids of `count` people."""
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.hashers import make_password

    from accounts.models import User

    password = make_password(PASSWORD)
    users = User.objects.bulk_create(
        User(email=f"bench{number}@example.org", name=f"Bench {number}", password=password) for number in range(count)
    )
    store = import_module(settings.SESSION_ENGINE).SessionStore
    cookies = []
    for user in users:
        session = store()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        cookies.append(f"{settings.SESSION_COOKIE_NAME}={session.session_key}")
    return cookies, [str(user.pk) for user in users]


def make_rooms(number: int, size: int, cookies: list[str], users: list[str]) -> list[tuple[str, list[str]]]:
    """Conversations of `size` members each: (id, their cookies), the owner first."""
    from chat.models import Conversation, Member, Role

    rooms = []
    for room in range(number):
        chosen = [(room * size + place) % len(users) for place in range(size)]
        conversation = Conversation.objects.create(title=f"Room {room}", answers="always")
        Member.objects.bulk_create(
            Member(conversation=conversation, user_id=users[one], role=Role.OWNER if not place else Role.EDITOR)
            for place, one in enumerate(chosen)
        )
        rooms.append((str(conversation.pk), [cookies[one] for one in chosen]))
    return rooms


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--people", type=int, required=True)
    parser.add_argument("--rooms", nargs="*", default=[], help="NUMBERxSIZE")
    options = parser.parse_args()
    django.setup()
    cookies, users = make_people(options.people)
    rooms = []
    for wanted in options.rooms:
        number, size = map(int, wanted.split("x"))
        rooms.append(make_rooms(number, size, cookies, users))
    print(json.dumps({"sessions": cookies, "rooms": rooms}))


if __name__ == "__main__":
    main()
