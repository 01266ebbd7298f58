"""Why a file could not be read, or why a model did not get all of it: codes, and a sentence for each.

Codes of `Blob.reason` and of `FileUse.reason`. A content that was read has one if something is missing.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext

from accounts.lib.texts import gettext_noop

RECOGNISED: Final = "recognised"
RECOGNISED_PART: Final = "recognised_part"
READING: Final = {
    "encrypted": gettext_noop("It is protected with a password. Remove the password and attach it again."),
    "broken": gettext_noop("It is damaged or incomplete, so it could not be read."),
    "old_office": gettext_noop("It has an old file format. Save it in a current one, such as .docx or .xlsx."),
    "not_text": gettext_noop("It is not a text in any known encoding."),
    "unsupported": gettext_noop("Files of this type are kept, but their contents cannot be read."),
    "unpacks_too_large": gettext_noop("It would unpack to more than is allowed, so it was not opened."),
    "too_many_pixels": gettext_noop("The image has too many pixels. Make it smaller and attach it again."),
    "too_much_memory": gettext_noop("Reading it needed too much memory."),
    "too_slow": gettext_noop("Reading it took too long."),
    "attempts": gettext_noop("Reading it failed several times."),
    "gone": gettext_noop("It is not in the storage any more."),
    "too_many_pages": gettext_noop("It has very many pages. Only the first ones were read."),
    "too_long": gettext_noop("Its text is very long. Only the beginning was read."),
    "scan": gettext_noop("It has pictures of pages and no text. Models that see images get the first pages as images."),
    RECOGNISED: gettext_noop("Its text was recognised and can have mistakes."),
    RECOGNISED_PART: gettext_noop("Its text was recognised and can have mistakes. Some images were not read."),
    "no_text": gettext_noop("No text was found in it."),
}
USE: Final = {
    "pending": gettext_noop("It was still being read when the answer began."),
    "no_vision": gettext_noop("This model does not see images. Choose a model that does, and ask again."),
    "refused_images": gettext_noop("The model refused the images, so it answered without them."),
    "too_many_images": gettext_noop("There were more images than fit into one request. The newest were sent."),
    "recognising": gettext_noop("Its text was still being recognised when the answer began. Ask again in a moment."),
    "no_room": gettext_noop("It did not fit into what the model reads at once."),
    "nothing_fits": gettext_noop("No part of it fits the question, so the model got its beginning."),
    "not_embedded": gettext_noop("It was searched by words only, because it is still being prepared."),
    "no_words": gettext_noop(
        "No part of it has words of the question, and it could not be searched by meaning just now. So the model got "
        "its beginning. Ask again in a moment."
    ),
    "refused_length": gettext_noop("The model refused more of it as too long."),
    "moderated": gettext_noop("This site's rules do not let its contents go to a model."),
    "unchecked": gettext_noop("It could not be checked just now, so the model did not get it. Ask again in a moment."),
    "no_access": gettext_noop("Whoever asked cannot use this collection."),
    "no_files": gettext_noop("It has no files."),
    "not_all_ready": gettext_noop("The others were still being read, or could not be read."),
    "words_only": gettext_noop(
        "The embedding model could not be reached, so it was searched by words only. Ask again in a moment."
    ),
    "not_all_embedded": gettext_noop(
        "Some of its files were searched by words only, because they are still being prepared."
    ),
    "no_passage": gettext_noop("No passage in its files fits the question."),
    "masked": gettext_noop("This site's rules removed some of its contents."),
}


def sentence_of(code: str) -> str:
    """The sentence for a person, in the current language; empty for an empty code."""
    if not code:
        return ""
    known = READING.get(code) or USE.get(code) or READING["broken"]
    return gettext(known)
