"""A user's own prompts as a JSON file: what is written, what is read, also of Open WebUI's export."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.lib.formatting import grouped
from accounts.models import User
from chat.catalog.own_items import check_room, sentence_of
from chat.catalog.prompts import check_variables, clean_name
from chat.catalog.screened_items import screen_item
from chat.models import Prompt
from chat.protocol.commands import clean_controls
from chat.protocol.errors import Invalid

FORMAT: Final = "antiphon.prompts"
VERSION: Final = 1
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_ENTRIES: Final = 1_000  # each is checked while its owner's page waits


class Entry(msgspec.Struct):
    """A prompt in a file. Open WebUI has `command` and `content` for `name` and `text`, and `name` is its title."""

    name: str = ""
    title: str = ""
    text: str = ""
    command: str = ""
    content: str = ""


class _File(msgspec.Struct):
    format: str
    version: int
    prompts: list[Entry]


class Imported(msgspec.Struct):
    """What an import did. `skipped` are the names that the user's own prompts had already."""

    made: int
    skipped: list[str]


def own_prompts(user: User) -> list[dict[str, str]]:
    """The user's own prompts as plain data for JSON."""
    rows = Prompt.objects.filter(owner=user).order_by("name")
    return [{"name": row.name, "title": row.title, "text": row.text} for row in rows]


def export_prompts(user: User) -> bytes:
    """The user's own prompts as a JSON file, which `import_prompts` reads."""
    body: dict[str, Any] = {"format": FORMAT, "version": VERSION, "prompts": own_prompts(user)}
    return msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"


def import_prompts(user: User, body: bytes) -> Imported:
    """Adds the prompts of a file to the user's own, all of them or none. What has a name that is taken is skipped.

    Raises `Invalid` with a sentence for a file or a prompt that is not valid, and beyond the limit; and `Moderated`.
    """
    rows = [_row(user, number, entry) for number, entry in enumerate(_read(body), 1)]
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # so that two tabs together stay below the limit
        known = set(Prompt.objects.filter(owner=user).values_list("name", flat=True))
        fresh: dict[str, Prompt] = {}
        skipped = []
        for row in rows:
            if row.name in known or row.name in fresh:
                skipped.append(row.name)
            else:
                fresh[row.name] = row
        check_room(Prompt, len(known) + len(fresh))
        Prompt.objects.bulk_create(fresh.values())
    return Imported(len(fresh), skipped)


def _read(body: bytes) -> list[Entry]:
    body = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    try:
        if body.startswith(b"["):
            return _checked(msgspec.json.decode(body, type=list[Entry]))
        found = msgspec.json.decode(body, type=_File)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(_("This is not a file of prompts: %(problem)s") % {"problem": error}) from None
    if found.format != FORMAT:
        raise Invalid(_("This is not a file of prompts."))
    if found.version != VERSION:
        raise Invalid(_("This file was exported by a newer version."))
    return _checked(found.prompts)


def _checked(entries: list[Entry]) -> list[Entry]:
    if len(entries) > MAX_ENTRIES:
        raise Invalid(_("A file can have at most %(most)s prompts.") % {"most": grouped(MAX_ENTRIES)})
    return entries


def _row(user: User, number: int, entry: Entry) -> Prompt:
    """The prompt of an entry, checked but not written."""
    name, title, text = entry.name, entry.title, entry.text
    if entry.command:
        name, title, text = entry.command, entry.title or entry.name, entry.content
    text = clean_controls(text).replace("\r\n", "\n")
    row = Prompt(owner=user, name=clean_name(clean_controls(name)), title=clean_controls(title).strip(), text=text)
    try:
        row.clean_fields(exclude={"owner"})
        check_variables(row.text)
    except ValidationError as error:
        raise _not_imported(number, sentence_of(error)) from None
    except Invalid as error:
        raise _not_imported(number, error.message) from None
    screen_item(row)
    return row


def _not_imported(number: int, reason: str) -> Invalid:
    return Invalid(
        _("Prompt %(number)s of the file cannot be imported. %(reason)s") % {"number": number, "reason": reason}
    )
