"""Workbooks (XLSX) and CSV."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final

from workers.files.base import MAX_CHARS, Read, Unreadable
from workers.files.formats.archives import Archive
from workers.files.formats.texts import decode

MAX_COLUMNS: Final = 500
MAX_ROWS: Final = 200_000  # of a sheet


def read_xlsx(path: Path) -> Read:
    """By sheets: each row is a line, its cells between tabs. Of formulas it has the results that were saved."""
    Archive(path)  # its sizes are sane
    from openpyxl import load_workbook

    read = Read()
    with path.open("rb") as file:
        try:
            book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
        except MemoryError:
            raise
        except Exception as error:  # openpyxl raises whatever the file makes it stumble on
            raise Unreadable("broken") from error
        _add_sheets(read, book)
    return read


def _add_sheets(read: Read, book: Any) -> None:
    sheets = [sheet for sheet in book.worksheets if hasattr(sheet, "iter_rows")]
    for sheet in sheets:
        if read.is_full:
            read.code = "too_long"
            break
        if hasattr(sheet, "reset_dimensions"):
            sheet.reset_dimensions()  # what a file says of them may be wrong
        read.add_lines(_rows(sheet), "rows", before=str(sheet.title))


def _rows(sheet: Any) -> Iterator[str]:
    taken = 0
    try:
        for number, row in enumerate(sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS), 1):
            cells = [_shown(value) for value in row]
            while cells and not cells[-1]:
                cells.pop()
            line = "\t".join(cells)
            taken += len(line) + 1
            yield line
            if number >= MAX_ROWS or taken > MAX_CHARS:
                return
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise Unreadable("broken") from error


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        midnight = value.time() == time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return " ".join(str(value).split())


def read_csv(path: Path) -> Read:
    """As it is written, in parts of whole lines."""
    read = Read()
    read.add_lines(decode(path).splitlines(), "rows")
    return read
