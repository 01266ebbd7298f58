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
STORAGE_AWAY: Final = gettext_noop(
    "Files can't be stored right now. What has been imported so far stays. Import the file again later to continue."
)
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
# About a file of a conversation or collection.
FILES_NOT_HERE: Final = gettext_noop(
    "This is not an archive, so it has no contents of files. Import the ZIP file of a prepared export to get them."
)
FILE_MISSING: Final = gettext_noop("Its contents are not in the archive.")
FILE_ENCRYPTED: Final = gettext_noop("Its contents are encrypted.")
FILE_DAMAGED: Final = gettext_noop("Its contents are damaged.")
FILE_EMPTY: Final = gettext_noop("It is empty.")
FILE_TOO_LARGE: Final = gettext_noop("It is larger than a file can be here.")
FILE_INFECTED: Final = gettext_noop("The virus scanner found something in it.")
FILE_MODERATED: Final = gettext_noop("This site's rules do not allow its name.")
NO_ROOM: Final = gettext_noop("There was no room left for it.")
FILES_TOO_LARGE: Final = gettext_noop("The files of this archive unpack to more than is allowed.")
TOO_MANY_FILES: Final = gettext_noop("There are more files than a message or collection can have here.")
NO_COLLECTION: Final = gettext_noop("This collection could not be created, so its files were left out.")
# Where it is in the file.
COLLECTION_PLACE: Final = gettext_noop("%(file)s, collection “%(name)s”")
TITLED_PLACE: Final = gettext_noop("%(file)s, conversation %(number)s (“%(title)s”)")
PLACE: Final = gettext_noop("%(file)s, conversation %(number)s")

_SOURCES: Final = (
    NO_EXPORT, NOT_JSON, NOT_UTF8, TOO_DEEP, LONG_NUMBER, LARGE_ENTRY, MANY_VALUES, MANY_ENTRIES, TOO_LARGE,
    UNPACKS_TOO_LARGE, NEWER, NO_LIST, DAMAGED_FILE, DAMAGED_ARCHIVE, MANY_FILES, OUTSIDE, TWICE, ENCRYPTED,
    MANY_CONVERSATIONS, NO_KEY, MANY_MESSAGES, LONG_MESSAGE, MANY_CHARACTERS, OWN_ANCESTORS, COLLECTION_PLACE,
    TITLED_PLACE, PLACE,
)  # fmt: skip


_WITHIN: Final = "\x1f"  # between a place and the name of a file there


def place_of_file(place: str, name: str) -> str:
    """Where a file is: the place of its conversation or collection, and its name."""
    return f"{place}{_WITHIN}{name.replace(_WITHIN, ' ')}"


def retold(stored: str) -> str:
    """What an import has stored, in the language that is active."""
    place, within, name = stored.partition(_WITHIN)
    said = texts.retold(place, _SOURCES)
    return f"{said} · {name}" if within else said
