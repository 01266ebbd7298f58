"""The languages that there are catalogues for. A language is offered once it is in `settings.LANGUAGES`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Language:
    """`locale`: the name of its folder; `rule`: gettext's plural rule; `plurals`: CLDR's name of each form of it."""

    code: str
    locale: str
    name: str
    rule: str
    plurals: tuple[str, ...]

    @property
    def header(self) -> str:
        """The line `Plural-Forms` of its catalogues."""
        return f"nplurals={len(self.plurals)}; plural={self.rule};"


_ARABIC: Final = "(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : n%100>=11 && n%100<=99 ? 4 : 5)"

# The rules are those of Django's own catalogues: gettext takes the rule of whichever it reads first.
LANGUAGES: Final = {
    language.code: language
    for language in (
        Language("de", "de", "Deutsch", "(n != 1)", ("one", "other")),
        Language("fr", "fr", "Français", "(n > 1)", ("one", "other")),
        Language("es", "es", "Español", "(n != 1)", ("one", "other")),
        Language("pt-br", "pt_BR", "Português (Brasil)", "(n > 1)", ("one", "other")),
        Language("zh-hans", "zh_Hans", "简体中文", "0", ("other",)),
        Language("ja", "ja", "日本語", "0", ("other",)),
        Language("ar", "ar", "العربية", _ARABIC, ("zero", "one", "two", "few", "many", "other")),
    )
}
