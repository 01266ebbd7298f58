"""What people read of our own tools, in the language of the page. Models read the tools' own descriptions, in English.

Titles are stored in English with each call; scripts show them by `told` (js/lib/texts.js).
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from accounts.lib.texts import gettext_noop

# Of the call that has the images which a model made itself.
IMAGE_NAME: Final = "image"
IMAGE_TITLE: Final = gettext_noop("Image")
# Title and description by the name of the tool. The titles are those of workers/tools/own, and stored with each call.
TEXTS: Final = {
    "ask_person": (
        gettext_noop("Ask a question"),
        gettext_noop("Asks you with a short form, and waits for your answer."),
    ),
    "calculate": (gettext_noop("Calculator"), gettext_noop("Calculates exactly.")),
    "current_time": (
        gettext_noop("Current time"),
        gettext_noop("The date, the weekday and the time, where you are or in another time zone."),
    ),
    "make_file": (
        gettext_noop("Make a file"),
        gettext_noop("Makes a text, CSV or Markdown file that you can download from the answer."),
    ),
    "read_page": (gettext_noop("Read a page"), gettext_noop("Reads the main text of web pages.")),
    "search_conversations": (
        gettext_noop("Search my conversations"),
        gettext_noop(
            "Searches your other conversations and their files. In a conversation of several people it finds only what "
            "all of them may read."
        ),
    ),
    "search_web": (
        gettext_noop("Search the web"),
        gettext_noop("Searches the web, and cites the pages that it found."),
    ),
}


def title_of(server: str, name: str, title: str) -> str:
    """The title of a tool for people: of our own (`server` is empty) in their language."""
    if has_model_images(server, name, title):
        return _(IMAGE_TITLE)
    return _(TEXTS[name][0]) if not server and name in TEXTS else title or name


def has_model_images(server: str, name: str, title: str) -> bool:
    """Whether a call is none that a model asked for, but has the images that it made itself."""
    return (server, name, title) == ("", IMAGE_NAME, IMAGE_TITLE)


def description_of(server: str, name: str, description: str) -> str:
    """What a tool does, for people: of a server's, the first paragraph. What follows tells models when to use it."""
    if not server and name in TEXTS:
        return _(TEXTS[name][1])
    return " ".join(description.strip().split("\n\n", 1)[0].split())
