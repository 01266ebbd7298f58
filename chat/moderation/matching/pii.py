"""Finds personal data and secrets: a cheap pattern proposes, a validator decides.

Sources: phonenumbers (Google's libphonenumber), python-stdnum for check digits and national numbers, the prefixes that
vendors publish for their keys.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import import_module
from itertools import product
from string import ascii_uppercase
from typing import Any, Final

from stdnum import iban, luhn, numdb

from chat.moderation.matching.linear import expression

MOST_VALIDATED: Final = 200  # proposals of one kind in one text; the rest counts as found, unvalidated
LONGEST: Final = 64  # characters that any of these but a key or an address may have


class Pii(StrEnum):
    EMAIL = "email"
    PHONE = "phone"
    CARD = "card"
    IBAN = "iban"
    NATIONAL_ID = "national_id"
    SECRET_KEY = "secret_key"  # noqa: S105 -- the name of a kind


LABELS: Final = {
    Pii.EMAIL: "email address",
    Pii.PHONE: "phone number",
    Pii.CARD: "card number",
    Pii.IBAN: "bank account",
    Pii.NATIONAL_ID: "national ID",
    Pii.SECRET_KEY: "secret key",
}

# Modules of stdnum that validate national numbers, by language or language and country; the pattern proposes a number.
NATIONAL: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "en-US": (("us.ssn", r"\b\d{3}-\d{2}-\d{4}\b"),),
    "en-GB": (("gb.nhs", r"\b\d{3} ?\d{3} ?\d{4}\b"),),
    "en-CA": (("ca.sin", r"\b\d{3}[ -]?\d{3}[ -]?\d{3}\b"),),
    "de": (("de.idnr", r"\b\d{2} ?\d{3} ?\d{3} ?\d{3}\b"),),
    "fr": (("fr.nir", r"\b[12] ?\d{2} ?\d{2} ?[\dAB]{2} ?\d{3} ?\d{3} ?\d{2}\b"),),
    "es": (("es.dni", r"\b\d{8}-?[A-Za-z]\b"), ("es.nie", r"\b[XYZxyz]-?\d{7}-?[A-Za-z]\b")),
    "it": (("it.codicefiscale", r"\b[A-Za-z]{6}\d{2}[A-Za-z]\d{2}[A-Za-z]\d{3}[A-Za-z]\b"),),
    "nl": (("nl.bsn", r"\b\d{9}\b"),),
    "pl": (("pl.pesel", r"\b\d{11}\b"),),
    "sv": (("se.personnummer", r"\b(?:\d{2})?\d{6}[-+]\d{4}\b"),),
    "pt": (("br.cpf", r"\b\d{3}\.?\d{3}\.?\d{3}-?\d{2}\b"), ("pt.nif", r"\b\d{9}\b")),
    "hi": (("in_.aadhaar", r"\b\d{4}[ -]?\d{4}[ -]?\d{4}\b"),),
}
_REGIONS: Final = {
    "en": ("US", "GB"), "de": ("DE", "AT", "CH"), "fr": ("FR", "BE", "CH"), "es": ("ES", "MX"), "it": ("IT",),
    "nl": ("NL", "BE"), "pl": ("PL",), "sv": ("SE",), "pt": ("BR", "PT"), "hi": ("IN",),
}  # fmt: skip

_EMAIL: Final = expression(r"[\pL\pN._%+\-]+@[\pL\pN\-]+(?:\.[\pL\pN\-]+)*\.\pL{2,}")
_PHONE: Final = expression(r"(?:\+|\b00|\(|\b)\d(?:[ ().\-/]{0,2}\d){6,17}\b")
_CARD: Final = expression(r"\b[2-6]\d{3}(?:[ \-]?\d){9,15}\b")
_BEGUN_IBAN: Final = re.compile(r"\b(?=([a-z]{2})[0-9]{2}((?: ?[a-z0-9])*) ?\Z)", re.ASCII | re.IGNORECASE)
_KEYS: Final = expression(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(?:[\sA-Za-z0-9+/=]*-----END (?:[A-Z]+ )*PRIVATE KEY-----)?"
    r"|\b(?:sk-(?:ant-|proj-|or-v1-|svcacct-)?[A-Za-z0-9_\-]{20,}|[rs]k_live_[A-Za-z0-9]{16,}"
    r"|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,}|glpat-[A-Za-z0-9_\-]{20,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[A-Za-z0-9_\-]{35}|xox[abeoprs]-[A-Za-z0-9\-]{10,}|hf_[A-Za-z0-9]{30,}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_\-]{50,}|SG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{16,}"
    r"|eyJ[A-Za-z0-9_\-]{10,}\.eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,})"
)


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Rule `rule` searches for `kind`; `locale` ("de", "en-GB", "": any) chooses national numbers and dialling."""

    rule: int
    kind: Pii
    locale: str = ""


class PiiIndex:
    def __init__(self, searched: Iterable[PersonalData]) -> None:
        self._searched = list(searched)

    def proposals(self) -> list[str]:
        """Patterns of which one occurs in every text that has something to be found."""
        return [pattern for each in self._searched for pattern in _proposals(each)]

    def find(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Yields rule, start and end in `text`, which is in plain form."""
        for each in self._searched:
            for start, end in _FINDERS[each.kind](text, each.locale):
                yield each.rule, start, end


def _emails(text: str, _locale: str) -> Iterator[tuple[int, int]]:
    if "@" in text:
        yield from (match.span() for match in _EMAIL.finditer(text))


def _keys(text: str, _locale: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _KEYS.finditer(text))


def _cards(text: str, _locale: str) -> Iterator[tuple[int, int]]:
    def validate(proposed: str) -> tuple[int, int] | None:
        digits = [at for at, character in enumerate(proposed) if character.isdigit()]
        for many in range(min(19, len(digits)), 12, -1):
            if luhn.is_valid("".join(proposed[at] for at in digits[:many])):
                return 0, digits[many - 1] + 1
        return None

    yield from _validated(text, _CARD, validate)


def _ibans(text: str, _locale: str) -> Iterator[tuple[int, int]]:
    def validate(proposed: str) -> tuple[int, int] | None:
        return (0, len(proposed)) if iban.is_valid(proposed) else None

    yield from _validated(text, _compiled(_iban_pattern()), validate)


def unfinished_iban_from(text: str) -> int:
    """Where in the last `LONGEST` characters of `text`, which is in plain form, an IBAN begins that is not finished at
    its end: its length if there is none. Not those of which only a part of the first four characters is there.
    """
    for match in _BEGUN_IBAN.finditer(text, max(0, len(text) - LONGEST)):
        country, rest = match.groups()
        parts = _iban_parts().get(country.upper(), ())
        if len(rest.replace(" ", "")) < sum(many for many, _ in parts):
            return match.start()
    return len(text)


def begun_iban_pattern() -> str:
    """What every text has of which `unfinished_iban_from` is not the length."""
    return rf"(?i)\b(?:{'|'.join(_iban_parts())})\d{{2}}(?: ?[a-z0-9])* ?$"


@cache
def _iban_pattern() -> str:
    # With what the numbers of each country are made of: hashes and codes look like an IBAN otherwise, and each
    # validation takes long.
    classes = {"n": "0-9", "a": "a-z", "c": "a-z0-9"}
    ibans = (
        rf"{country}\d{{2}}" + "".join(f"(?: ?[{classes[kind]}]){{{many}}}" for many, kind in parts)
        for country, parts in _iban_parts().items()
    )
    return rf"(?i)\b(?:{'|'.join(ibans)})"


@cache
def _iban_parts() -> dict[str, tuple[tuple[int, str], ...]]:
    """By country, what follows the first four characters of an IBAN: digits ("n"), letters ("a") or either ("c"), and
    how many of them.
    """
    registry = numdb.get("iban")
    parts = {}
    for country in map("".join, product(ascii_uppercase, repeat=2)):
        if properties := registry.info(country)[0][1]:
            found = re.findall(r"(\d+)!([nac])", properties["bban"])
            parts[country] = tuple((int(many), kind) for many, kind in found)
    return parts


def _phones(text: str, locale: str) -> Iterator[tuple[int, int]]:
    # Every process loads this module, and few sites have a rule about telephone numbers: 30 ms of each start.
    import phonenumbers

    language, _, country = locale.partition("-")
    regions = (country,) if country else _REGIONS.get(language, ())

    def validate(proposed: str) -> tuple[int, int] | None:
        for region in (None,) if proposed.startswith("+") else regions:
            for match in phonenumbers.PhoneNumberMatcher(proposed, region, phonenumbers.Leniency.VALID):
                return match.start, match.end
        return None

    yield from _validated(text, _PHONE, validate)


def _national(text: str, locale: str) -> Iterator[tuple[int, int]]:
    for module, pattern in _national_numbers(locale):
        number = _stdnum(module)

        def validate(proposed: str, number: Any = number) -> tuple[int, int] | None:
            return (0, len(proposed)) if number.is_valid(proposed) else None

        yield from _validated(text, _compiled(pattern), validate)


@cache
def _national_numbers(locale: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        validator
        for named, validators in NATIONAL.items()
        if not locale or named == locale or named.startswith(f"{locale}-") or locale.startswith(f"{named}-")
        for validator in validators
    )


def _proposals(each: PersonalData) -> list[str]:
    if each.kind is Pii.NATIONAL_ID:
        return [pattern for _, pattern in _national_numbers(each.locale)]
    if each.kind is Pii.IBAN:
        return [_iban_pattern()]
    patterns = {Pii.EMAIL: _EMAIL, Pii.PHONE: _PHONE, Pii.CARD: _CARD, Pii.SECRET_KEY: _KEYS}
    return [patterns[each.kind].pattern]


def _validated(text: str, pattern: Any, validate: Callable[[str], tuple[int, int] | None]) -> Iterator[tuple[int, int]]:
    """What `pattern` proposes and `validate` accepts, as the span of the accepted part."""
    for number, match in enumerate(pattern.finditer(text)):
        start, end = match.span()
        if number >= MOST_VALIDATED:
            yield start, end
        elif accepted := validate(text[start:end]):
            yield start + accepted[0], start + accepted[1]


@cache
def _stdnum(module: str) -> Any:
    return import_module(f"stdnum.{module}")


@cache
def _compiled(pattern: str) -> Any:
    return expression(pattern)


_FINDERS: Final[dict[Pii, Callable[[str, str], Iterator[tuple[int, int]]]]] = {
    Pii.EMAIL: _emails,
    Pii.PHONE: _phones,
    Pii.CARD: _cards,
    Pii.IBAN: _ibans,
    Pii.NATIONAL_ID: _national,
    Pii.SECRET_KEY: _keys,
}
