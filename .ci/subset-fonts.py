"""Subsets the fonts of @fontsource-variable: `python subset-fonts.py FOLDER FILE…` writes what it makes into FOLDER.

Needs fontTools and brotli (pip install fonttools brotli). What the pages use is kept: weights from 400 to 600, kerning,
marks, and figures of one width; not fractions, ligatures and contextual forms. Upright latin fonts become two files:
one with what English needs, loaded with every page, and one with the rest. The ranges are those of css/tokens.css.
"""

import io
import sys
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

FEATURES = ["ccmp", "kern", "locl", "mark", "mkmk", "tnum"]
BASIC = {*range(0x20, 0x7F), 0xA0, 0xA9, 0xAB, 0xB0, 0xB7, 0xBB, 0xD7, 0x2009, 0x2013, 0x2014, 0x2018, 0x2019, 0x201C,
         0x201D, 0x201E, 0x2022, 0x2026, 0x202F, 0x20AC, *range(0x2190, 0x2194), 0x2212}  # fmt: skip
LATIN = {*range(0x20, 0x7F), *range(0xA0, 0x100), 0x131, 0x152, 0x153, *range(0x2000, 0x2070), 0x20AC, 0x2122,
         *range(0x2190, 0x2194), 0x2212}  # fmt: skip


def subset_font(path: Path, characters: Iterable[int]) -> bytes:
    font = TTFont(path)
    instancer.instantiateVariableFont(font, {"wght": (400, 600)}, inplace=True)
    font.flavor = None
    written = io.BytesIO()
    font.save(written)
    written.seek(0)
    font = TTFont(written)  # the subsetter needs the tables as they were written
    options = subset.Options(layout_features=FEATURES, hinting=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=set(font.getBestCmap()).intersection(characters))
    subsetter.subset(font)
    font.flavor = "woff2"
    written = io.BytesIO()
    font.save(written)
    return written.getvalue()


def files_of(name: str) -> dict[str, Iterable[int]]:
    """The names of the files that are made of one, and their characters."""
    if "-latin-ext-" in name:
        return {name: range(0x110000)}
    if "-italic" in name:
        return {name: LATIN}
    return {name.replace("-latin-", "-basic-"): BASIC, name: LATIN - BASIC}


if __name__ == "__main__":
    folder, *files = map(Path, sys.argv[1:])
    for file in files:
        for name, characters in files_of(file.name).items():
            (folder / name).write_bytes(subset_font(file, characters))
