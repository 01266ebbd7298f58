"""Catalogues as files: updated from the extracted texts, compiled for the server (.mo) and for browsers (.js)."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po, write_po
from django.conf import settings

from config.translation.extraction import SCRIPTS, Text, to_script
from config.translation.languages import Language

HEAD: Final = """# {name}. See CONTRIBUTING.md, "Translations".
msgid ""
msgstr ""
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Language: {locale}\\n"
"Plural-Forms: {plurals}\\n"

"""
STORED: Final = (  # files whose sentences are stored with answers and messages, for readers of all languages
    "workers/providers/", "workers/generation/", "workers/moderation/", "workers/speech/", "workers/asr/",
    "chat/moderation/", "chat/eventlog/", "chat/turns/line", "chat/turns/waiting_line.py", "workers/tools/policy.py",
)  # fmt: skip
MO_MAGIC: Final = 0x950412DE
BROWSER: Final = "chat/static/chat/texts"  # of the repository


def po_path(language: Language, *, staff: bool = False) -> Path:
    """Where the catalogue of a language is."""
    place: Path = settings.ADMIN_LOCALE if staff else settings.PAGES_LOCALE
    return place / language.locale / "LC_MESSAGES" / "django.po"


def read(language: Language, *, staff: bool = False) -> Catalog:
    """The catalogue; an empty one where there is none yet."""
    path = po_path(language, staff=staff)
    if not path.exists():
        return Catalog(locale=None)
    with path.open("rb") as file:
        return read_po(file, locale=language.locale)


def update(language: Language, texts: Iterable[Text], *, staff: bool = False) -> Catalog:
    """The catalogue with these texts and their translations. A changed text is a new one: nothing is guessed."""
    known = read(language, staff=staff)
    made = _empty(language)
    for text in texts:
        made.add(
            (text.source, text.plural) if text.plural else text.source,
            _translated(known, text, len(language.plurals)),
            locations=[(name, 0) for name in sorted(text.files)],
            auto_comments=text.comments,
            flags=_flags(known, text),
            context=text.context or None,
        )
    return made


def write(language: Language, catalogue: Catalog, *, staff: bool = False) -> None:
    """Writes the catalogue: without line numbers and dates, so that a change shows what has changed."""
    path = po_path(language, staff=staff)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(po_text(language, catalogue))


def po_text(language: Language, catalogue: Catalog) -> str:
    file = io.BytesIO()
    write_po(file, catalogue, width=100, include_lineno=False, omit_header=True)
    return HEAD.format(name=language.name, locale=language.locale, plurals=language.header) + file.getvalue().decode()


def mo_bytes(language: Language, catalogue: Catalog) -> bytes:
    """What the server reads (GNU gettext's format, without a hash table); only texts whose forms are all there."""
    found = {b"": f"Content-Type: text/plain; charset=utf-8\nPlural-Forms: {language.header}\n".encode()}
    for message in catalogue:
        forms = forms_of(message) if message.id else []
        if forms and all(forms) and not message.fuzzy:
            key = message.id if isinstance(message.id, str) else "\0".join(message.id)
            found[(f"{message.context}\u0004{key}" if message.context else key).encode()] = "\0".join(forms).encode()
    keys = sorted(found)
    start = 7 * 4 + 16 * len(keys)
    tables, texts = [b"", b""], b""
    for index, parts in enumerate((keys, [found[key] for key in keys])):
        for part in parts:
            tables[index] += struct.pack("<II", len(part), start + len(texts))
            texts += part + b"\0"
    head = struct.pack("<7I", MO_MAGIC, 0, len(keys), 28, 28 + 8 * len(keys), 0, start)
    return head + tables[0] + tables[1] + texts


def script(language: Language, catalogue: Catalog) -> str:
    """What browsers read: a script that `lib/texts.js` finds its texts by."""
    texts: dict[str, str | list[str]] = {}
    for message in catalogue:
        if not message.id or message.fuzzy or not _is_for_scripts(message):
            continue
        source = to_script(message.id if isinstance(message.id, str) else message.id[0])
        key = f"{message.context}\u0004{source}" if message.context else source
        forms = [to_script(form) for form in forms_of(message)]
        if all(forms):
            texts[key] = forms if message.pluralizable else forms[0]
    found = json.dumps({"plurals": language.plurals, "texts": texts}, ensure_ascii=False, separators=(",", ":"))
    return f"globalThis.antiphonTexts={found};\n"


def _is_for_scripts(message: Message) -> bool:
    """Whether scripts use a text, or show it where the server has stored it in English (`told` in `lib/texts.js`)."""
    names = [name for name, _ in message.locations]
    is_stored = not message.pluralizable and "%(" not in message.id and any(name.startswith(STORED) for name in names)
    return is_stored or any(name.startswith(SCRIPTS) for name in names)


def forms_of(message: Message) -> list[str]:
    """The translations of a message: one, or one for each plural form. Those that are missing are empty."""
    return [message.string] if isinstance(message.string, str) else [form or "" for form in message.string or ()]


def script_path(language: Language) -> Path:
    path: Path = settings.BASE_DIR / BROWSER / f"{language.code}.js"
    return path


def compiled(language: Language, *, staff: bool = False) -> dict[Path, bytes]:
    """The files that are made of a catalogue, with their content."""
    catalogue = read(language, staff=staff)
    made = {po_path(language, staff=staff).with_suffix(".mo"): mo_bytes(language, catalogue)}
    return made if staff else made | {script_path(language): script(language, catalogue).encode()}


def _empty(language: Language) -> Catalog:
    made = Catalog(locale=language.locale, fuzzy=False)
    rule: Any = (len(language.plurals), language.rule)  # not Babel's own
    made._num_plurals, made._plural_expr = rule  # noqa: SLF001
    return made


def _translated(known: Catalog, text: Text, size: int) -> str | tuple[str, ...]:
    message = known.get(text.source, text.context or None)
    forms = [] if message is None or message.pluralizable != bool(text.plural) else forms_of(message)
    if text.plural:
        return tuple((forms + [""] * size)[:size])
    return forms[0] if forms else ""


def _flags(known: Catalog, text: Text) -> set[str]:
    message = known.get(text.source, text.context or None)
    fuzzy = {"fuzzy"} if message is not None and message.fuzzy else set()
    return fuzzy | ({"python-format"} if "%(" in text.source + text.plural else set())
