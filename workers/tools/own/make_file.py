"""The tool `make_file`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from workers.tools.base import MadeFile, ToolContext, ToolError, ToolResult
from workers.tools.own_tool import own_tool

MAX_BYTES: Final = 1_000_000
MAX_NAME: Final = 100
_MEDIA_TYPES: Final = {"txt": "text/plain", "csv": "text/csv", "md": "text/markdown"}


@dataclass(frozen=True, slots=True)
class MakeFile:
    """Makes a text, CSV or Markdown file that the person can download. It is shown with the answer."""

    name: Annotated[
        str, Meta(description="For example budget.csv. It ends in .txt, .csv or .md.", min_length=1, max_length=200)
    ]
    content: Annotated[str, Meta(description="All of the file's text.")]

    async def run(self, context: ToolContext) -> ToolResult:
        name, ending = clean_name(self.name)
        content = self.content.encode("utf-8", "replace")
        if len(content) > MAX_BYTES:
            raise ToolError(f"The file is too long: it may have up to {MAX_BYTES // 1000} kB.")
        made = MadeFile(name, _MEDIA_TYPES[ending], content)
        return ToolResult(f"The file {name} ({len(content)} bytes) was made. The person can download it.", files=[made])


def clean_name(name: str) -> tuple[str, str]:
    """A name for a file on any system, with its ending; and the ending, `txt`, `csv` or `md`."""
    name = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    # Also the characters that change the direction of a text: "invoice_fdp.exe" would look like a PDF.
    name = "".join(one if unicodedata.category(one)[0] not in "CZ" or one == " " else "_" for one in name)
    name = re.sub(r'[<>:"|?*%]', "_", name).strip(" .")
    stem, _, ending = name.rpartition(".")
    if not stem or not re.fullmatch(r"[a-zA-Z0-9]{1,8}", ending):
        stem, ending = name, ""
    ending = {"markdown": "md", "text": "txt"}.get(ending.lower(), ending.lower())
    ending = ending if ending in _MEDIA_TYPES else "txt"
    stem = stem.strip(" .")[: MAX_NAME - 5].strip(" .") or "file"
    if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", stem):  # names that Windows keeps for devices
        stem = f"_{stem}"
    return f"{stem}.{ending}", ending


TOOL: Final = own_tool(MakeFile, title="Make a file")
