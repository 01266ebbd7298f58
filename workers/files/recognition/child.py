"""Recognises text: `python -m workers.files.recognition.child ENGINE FOLDER CPU_SECONDS MEMORY_BYTES`.

The folder has images named by their positions: `3.png`. The text of each is written to `3.txt` as soon as it is known,
so that what a limit ends keeps what was recognised before. A process of its own, as `workers.files.child` is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from workers.files.base import LONGEST_PART, clean
from workers.files.child import end_with_parent, set_limits


def recognise(engine: str, folder: Path) -> None:
    """Reads the images in the order of their positions."""
    from workers.files.recognition.engines import load_engine  # loaded after the limits are set
    from workers.files.recognition.lines import text_of

    recogniser = load_engine(engine)
    images = [one for one in folder.iterdir() if one.stem.isdecimal() and one.suffix in (".png", ".jpg")]
    for image in sorted(images, key=lambda one: int(one.stem)):
        text = clean(text_of(recogniser.read(str(image))))[:LONGEST_PART]
        whole = image.with_suffix(".part")
        whole.write_text(text, encoding="utf-8")
        whole.rename(image.with_suffix(".txt"))


if __name__ == "__main__":
    _, engine_, folder_, cpu_, memory_ = sys.argv
    end_with_parent()
    set_limits(int(cpu_), int(memory_))
    recognise(engine_, Path(folder_))
    sys.stderr.flush()
    os._exit(0)  # without the end of the engine's own threads, which a limit of memory may disturb
