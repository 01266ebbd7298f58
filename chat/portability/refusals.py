"""Why a file, or a conversation in it, is not imported. An import stores it in English; `retold` is for its reader."""

from __future__ import annotations

from typing import Final

from accounts.lib import texts
from accounts.lib.texts import gettext_noop

# About a file.
NO_EXPORT: Final = gettext_noop("%(file)s is not an export from Antiphon, ChatGPT, Claude, Open WebUI or LibreChat.")
NOT_JSON: Final = gettext_noop(
    "%(file)s is not JSON, or it is truncated: %(problem)s at line %(line)s, column %(column)s."
)
NOT_UTF8: Final = gettext_noop("%(file)s is not UTF-8 text: byte %(byte)s is invalid.")
TOO_DEEP: Final = gettext_noop("%(file)s is nested too deeply.")
LONG_NUMBER: Final = gettext_noop("%(file)s contains a number that is too long.")
LARGE_ENTRY: Final = gettext_noop("%(file)s has an entry that is larger than %(size)s.")
MANY_VALUES: Final = gettext_noop("%(file)s has an entry with more than %(most)s values.")
MANY_ENTRIES: Final = gettext_noop("%(file)s has more than %(most)s entries.")
TOO_LARGE: Final = gettext_noop("%(file)s is larger than %(size)s.")
UNPACKS_TOO_LARGE: Final = gettext_noop("%(file)s unpacks to more than %(size)s.")
NEWER: Final = gettext_noop("%(file)s was exported by a newer version.")
NO_LIST: Final = gettext_noop("%(file)s has no list of conversations.")
DAMAGED_FILE: Final = gettext_noop("%(file)s is an archive that is truncated or damaged.")
DAMAGED_ARCHIVE: Final = gettext_noop("The archive is truncated or damaged (%(error)s).")
MANY_FILES: Final = gettext_noop("The archive has more than %(most)s files.")
NO_FILES: Final = gettext_noop("There is no conversations.json in the archive, and no other JSON file.")
OUTSIDE: Final = gettext_noop("%(file)s points outside the archive.")
TWICE: Final = gettext_noop("%(file)s is in the archive twice.")
ENCRYPTED: Final = gettext_noop("%(file)s is encrypted. Decrypt it first.")
MANY_CONVERSATIONS: Final = gettext_noop(
    "The file has %(count)s conversations. At most %(most)s can be imported at once."
)
UNREADABLE: Final = gettext_noop("The file can no longer be read. Upload it again.")
# About a conversation.
NO_KEY: Final = gettext_noop("This is not a conversation: it has no “%(key)s”.")
NO_OBJECT: Final = gettext_noop("This is not a conversation: it is not an object.")
BIG_NUMBER: Final = gettext_noop("It contains a number that is out of range.")
MANY_MESSAGES: Final = gettext_noop("It has more than %(most)s messages.")
SAME_IDS: Final = gettext_noop("Two of its messages have the same id.")
LONG_MESSAGE: Final = gettext_noop("One of its messages has more than %(most)s characters: %(id)s.")
MANY_CHARACTERS: Final = gettext_noop("It has more than %(most)s characters.")
OWN_ANCESTORS: Final = gettext_noop("Some of its messages are their own ancestors, such as %(id)s.")
NO_MESSAGES: Final = gettext_noop("It contains no messages.")
# Where it is in the file.
TITLED_PLACE: Final = gettext_noop("%(file)s, conversation %(number)s (“%(title)s”)")
PLACE: Final = gettext_noop("%(file)s, conversation %(number)s")

_SOURCES: Final = (
    NO_EXPORT, NOT_JSON, NOT_UTF8, TOO_DEEP, LONG_NUMBER, LARGE_ENTRY, MANY_VALUES, MANY_ENTRIES, TOO_LARGE,
    UNPACKS_TOO_LARGE, NEWER, NO_LIST, DAMAGED_FILE, DAMAGED_ARCHIVE, MANY_FILES, OUTSIDE, TWICE, ENCRYPTED,
    MANY_CONVERSATIONS, NO_KEY, MANY_MESSAGES, LONG_MESSAGE, MANY_CHARACTERS, OWN_ANCESTORS, TITLED_PLACE, PLACE,
)  # fmt: skip


def retold(stored: str) -> str:
    """What an import has stored, in the language that is active."""
    return texts.retold(stored, _SOURCES)
