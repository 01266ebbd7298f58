"""Names of files as people give them, made safe to show and to save. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from django.utils.translation import gettext as _

LONGEST: Final = 200  # characters
# Controls; marks that turn the direction of what follows, so that "exe.gpj" is read as "jpg.exe"; invisible ones.
_HIDDEN: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_ENDING: Final = re.compile(r"\.[A-Za-z0-9]{1,19}\Z")


def clean_name(name: str) -> str:
    """The last part of a path, of at most `LONGEST` characters, without what is not seen; never empty.

    A longer name keeps its ending.
    """
    name = name.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    name = unicodedata.normalize("NFC", _HIDDEN.sub("", name.replace("\\", "/")))
    name = re.sub(r"\s+", " ", name.rsplit("/", 1)[-1]).strip().rstrip(". ")
    if len(name) > LONGEST:
        ending = ending_of(name)
        name = name[: LONGEST - len(ending)].rstrip(". ") + ending
    return name or _("File")


def ending_of(name: str) -> str:
    """The ending of a name with its dot, in lower case: ".pdf"; empty if there is none."""
    found = _ENDING.search(name)
    return found[0].lower() if found else ""


def numbered(name: str, taken: set[str]) -> str:
    """The name, with a number before its ending if it is `taken`; what is returned is taken from then on."""
    ending = ending_of(name)
    stem = name[: len(name) - len(ending)]
    found, number = name, 2
    while found.casefold() in taken:
        found, number = f"{stem} ({number}){ending}", number + 1
    taken.add(found.casefold())
    return found
