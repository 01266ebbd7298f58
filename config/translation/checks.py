"""What is wrong with a catalogue: texts that are missing, and translations that would break a page. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from babel.messages.catalog import Catalog, Message

from config.translation.catalogues import forms_of
from config.translation.extraction import Text
from config.translation.languages import Language

PLACEHOLDERS: Final = re.compile(r"%\(\w+\)[sd]|%[sd]")
TAGS: Final = re.compile(r"</?[a-z][^<>]*>")
ENTITIES: Final = re.compile(r"&[a-z]+;")
UPDATE: Final = "Run `manage.py translations update`."
COUNTERS: Final = re.compile(r"%\((count|counter|n|number|days|hours|strikes|tokens|uses)\)[sd]|%d")
COUNTS: Final = frozenset(("zero", "one", "two"))  # forms that may say the number in words


def find_faults(language: Language, catalogue: Catalog, texts: Iterable[Text]) -> list[str]:
    """Sentences, each about one text; none: the catalogue is complete and can be offered."""
    wanted = {text.key: text for text in texts}
    known = {(_source(message), message.context or ""): message for message in catalogue if message.id}
    faults = [f"{_short(key[0])}: not in the catalogue. {UPDATE}" for key in wanted.keys() - known]
    faults += [f"{_short(key[0])}: no longer used. {UPDATE}" for key in known.keys() - wanted]
    for key in known.keys() & wanted.keys():
        faults += [f"{_short(key[0])}: {what}." for what in message_faults(language, known[key], wanted[key])]
    return sorted(faults)


def message_faults(language: Language, message: Message, text: Text) -> Iterator[str]:
    """What is wrong with the translation of one text."""
    forms = forms_of(message)
    names = language.plurals if text.plural else ("",)
    if bool(text.plural) != message.pluralizable or len(forms) != len(names):
        yield f"{len(names)} forms are needed, and there are {len(forms)}"
        return
    if message.fuzzy:
        yield "marked fuzzy: read it again and take the mark away"
    for form, name in zip(forms, names, strict=True):
        where = f"form “{name}”: " if name else ""
        if not form.strip():
            yield f"{where}not translated"
            continue
        for what in form_faults(form, text, name):
            yield f"{where}{what}"


def form_faults(form: str, text: Text, plural: str) -> Iterator[str]:
    """What is wrong with one form, beside its source. `plural`: CLDR's name of the form; empty: there is only one."""
    source = text.plural or text.source
    wanted, found = _placeholders(source), _placeholders(form)
    if extra := found - wanted:
        yield f"placeholders that the source does not have: {', '.join(sorted(extra))}"
    missing = wanted - found
    if plural in COUNTS and (missing <= wanted - _placeholders(text.source) or _is_counter(missing)):
        missing = Counter()
    if missing:
        yield f"placeholders are missing: {', '.join(sorted(missing))}"
    if Counter(TAGS.findall(form)) != Counter(TAGS.findall(source)):
        yield "its tags are not those of the source"
    if Counter(ENTITIES.findall(form)) != Counter(ENTITIES.findall(source)):
        yield "its entities (such as &nbsp;) are not those of the source"
    if (form[:1].isspace(), form[-1:].isspace()) != (source[:1].isspace(), source[-1:].isspace()):
        yield "blanks at its beginning or end are not those of the source"
    if form.count("\n") != source.count("\n"):
        yield "it has other line ends than the source"
    if "%(" in source and _bad_percent(form):
        yield "a percent sign that belongs to no placeholder must be written %%"


def _placeholders(text: str) -> Counter[str]:
    return Counter(dict.fromkeys(PLACEHOLDERS.findall(text.replace("%%", "")), 1))


def _is_counter(missing: Counter[str]) -> bool:
    return sum(missing.values()) == 1 and bool(COUNTERS.fullmatch(next(iter(missing))))


def _bad_percent(text: str) -> bool:
    return "%" in PLACEHOLDERS.sub("", text.replace("%%", ""))


def _source(message: Message) -> str:
    return message.id if isinstance(message.id, str) else str(message.id[0])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line}”" if len(line) <= 90 else f"“{line[:89]}…”"
