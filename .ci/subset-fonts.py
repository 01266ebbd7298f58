"""Subsets the fonts of @fontsource-variable: `python subset.py FOLDER FILE…` writes each FILE into FOLDER.

Needs fontTools and brotli (pip install fonttools brotli). What the pages use is kept: weights from 400 to 600, kerning,
marks, and figures of one width; not fractions, ligatures and contextual forms.
"""

import io
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

FEATURES = ["ccmp", "kern", "locl", "mark", "mkmk", "tnum"]
LATIN = {*range(0x20, 0x7F), *range(0xA0, 0x100), 0x131, 0x152, 0x153, *range(0x2000, 0x2070), 0x20AC, 0x2122,
         *range(0x2190, 0x2194), 0x2212}  # fmt: skip


def subset_font(path: Path) -> bytes:
    font = TTFont(path)
    instancer.instantiateVariableFont(font, {"wght": (400, 600)}, inplace=True)
    font.flavor = None
    written = io.BytesIO()
    font.save(written)
    written.seek(0)
    font = TTFont(written)  # the subsetter needs the tables as they were written
    options = subset.Options(layout_features=FEATURES, hinting=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=set(font.getBestCmap()) if "-ext-" in path.name else LATIN)
    subsetter.subset(font)
    font.flavor = "woff2"
    written = io.BytesIO()
    font.save(written)
    return written.getvalue()


if __name__ == "__main__":
    folder, *files = map(Path, sys.argv[1:])
    for file in files:
        (folder / file.name).write_bytes(subset_font(file))
