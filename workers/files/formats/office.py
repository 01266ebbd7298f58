"""Word processors' documents and presentations: DOCX, PPTX, ODT and ODP."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from workers.files.base import LONGEST_PART, MAX_PAGES, Read, Unreadable, divide
from workers.files.formats.archives import Archive, attribute, local

_NUMBER: Final = re.compile(r"(\d+)\.xml\Z")
REPEATED: Final = 64  # times that an empty cell or a space is repeated, at most


def read_docx(path: Path) -> Read:
    """By pages where Word has noted where they began, else in parts."""
    archive = Archive(path)
    pages: list[list[str]] = [[]]
    said: list[str] = []
    rows: list[list[str]] = []  # of the tables that are open
    for event, element in archive.events("word/document.xml"):
        name = local(element)
        if event == "start":
            if name == "tc" and rows:
                rows[-1].append("")
            elif name == "tr":
                rows.append([])
            elif name == "lastRenderedPageBreak" and not rows:
                pages.append([])
            continue
        if name == "t":
            said.append(element.text or "")
        elif name == "tab":
            said.append("\t")
        elif name in ("br", "cr"):
            said.append("\n")
        elif name == "pStyle" and (
            level := re.match(r"(?:Heading|heading|berschrift)\s?(\d)", attribute(element, "val"))
        ):
            said.insert(0, "#" * int(level[1]) + " ")
        elif name == "p":
            text = "".join(said)
            said.clear()
            if rows and rows[-1]:
                rows[-1][-1] = f"{rows[-1][-1]} {text}".strip()
            else:
                pages[-1].append(text)
            element.clear()
        elif name == "tr":
            row = rows.pop()
            (rows[-1] if rows and rows[-1] else pages[-1]).append(" | ".join(row))
            element.clear()
    read = Read()
    texts = ["\n".join(lines) for lines in pages]
    if len(texts) > 1:
        add_pages(read, texts, "page")
    else:
        read.add_text(texts[0])
    for part, label in (("word/footnotes.xml", "footnotes"), ("word/endnotes.xml", "endnotes")):
        if part in archive.names:
            notes = "\n".join(_paragraphs(archive, part))
            read.add(len(read.parts) + 1, label, notes[:LONGEST_PART])
    return read


def add_pages(read: Read, texts: list[str], name: str) -> None:
    """Adds texts as numbered pages; a long one is divided."""
    read.total = len(texts)
    if len(texts) > MAX_PAGES:
        read.code = "too_many_pages"
    for number, text in enumerate(texts[:MAX_PAGES], 1):
        for piece in divide(text, LONGEST_PART):
            read.add(number, f"{name} {number}", piece)


def _paragraphs(archive: Archive, entry: str) -> list[str]:
    """The paragraphs of an entry in Office Open XML."""
    found: list[str] = []
    said: list[str] = []
    for event, element in archive.events(entry):
        name = local(element)
        if event == "start":
            continue
        if name == "t":
            said.append(element.text or "")
        elif name in ("tab", "br"):
            said.append(" ")
        elif name == "p":
            found.append("".join(said).strip())
            said.clear()
            element.clear()
    return [one for one in found if one]


def read_pptx(path: Path) -> Read:
    """By slides, in the order in which they are shown, with their notes."""
    archive = Archive(path)
    slides = _slides(archive)
    texts = []
    for slide in slides[: MAX_PAGES + 1]:
        text = "\n".join(_paragraphs(archive, slide))
        if notes := _related(archive, slide, "notesSlide"):
            said = "\n".join(one for one in _paragraphs(archive, notes[0]) if not one.isdigit())
            text += f"\n\nNotes: {said}" if said else ""
        texts.append(text)
    read = Read()
    add_pages(read, texts, "slide")
    read.total = len(slides)
    return read


def _slides(archive: Archive) -> list[str]:
    targets = _relations(archive, "ppt/presentation.xml")
    ids = [
        attribute(element, "id")
        if not (named := [value for key, value in element.attrib.items() if "relationships" in key])
        else str(named[0])
        for event, element in archive.events("ppt/presentation.xml")
        if event == "end" and local(element) == "sldId"
    ]
    ordered = [targets[one][1] for one in ids if one in targets and targets[one][1] in archive.names]
    if ordered:
        return ordered
    found = [name for name in archive.names if re.match(r"ppt/slides/slide\d+\.xml\Z", name)]
    return sorted(found, key=lambda name: int(_NUMBER.search(name)[1]))  # type: ignore[index]


def _relations(archive: Archive, entry: str) -> dict[str, tuple[str, str]]:
    """The entries that one refers to, by id: each with its type."""
    folder, name = posixpath.split(entry)
    rels = f"{folder}/_rels/{name}.rels"
    if rels not in archive.names:
        return {}
    return {
        attribute(element, "Id"): (
            attribute(element, "Type").rpartition("/")[2],
            posixpath.normpath(posixpath.join(folder, attribute(element, "Target"))).lstrip("/"),
        )
        for event, element in archive.events(rels)
        if event == "end" and local(element) == "Relationship"
    }


def _related(archive: Archive, entry: str, kind: str) -> list[str]:
    found = _relations(archive, entry).values()
    return [target for kind_, target in found if kind_ == kind and target in archive.names]


def read_odf(path: Path) -> Read:
    """ODT in parts, ODP by slides, and ODS by sheets."""
    archive = Archive(path)
    if "META-INF/manifest.xml" in archive.names and b"encryption-data" in archive.read("META-INF/manifest.xml"):
        raise Unreadable("encrypted")
    reader = _OdfReader()
    for event, element in archive.events("content.xml"):
        reader.feed(event, element)
    return reader.read()


class _OdfReader:
    """Collects the text of `content.xml`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.slides: list[list[str]] = []
        self.sheets: list[tuple[str, list[str]]] = []
        self.spreadsheet = False
        self.row: list[str] = []
        self.cell: list[str] = []
        self.tables = 0

    def feed(self, event: str, element: Any) -> None:
        name = local(element)
        if event == "start":
            if name == "spreadsheet":
                self.spreadsheet = True
            elif name == "table":
                self.tables += 1
                if self.spreadsheet and self.tables == 1:
                    self.sheets.append((attribute(element, "name") or f"sheet {len(self.sheets) + 1}", []))
            elif name == "page":
                self.slides.append([])
            elif name == "table-row":
                self.row = []
            elif name in ("table-cell", "covered-table-cell"):
                self.cell = []
        elif name in ("p", "h"):
            text = _odf_text(element)
            if self.tables:
                self.cell.append(text)
            else:
                (self.slides[-1] if self.slides else self.lines).append(
                    ("#" * min(int(attribute(element, "outline-level") or 1), 6) + " " if name == "h" else "") + text
                )
            element.clear()
        elif name == "table-cell":
            times = int(attribute(element, "number-columns-repeated") or 1)
            self.row += [" ".join(self.cell)] * (min(times, REPEATED) if self.cell else min(times, 1))
        elif name == "table-row":
            while self.row and not self.row[-1]:
                self.row.pop()
            joined = ("\t" if self.spreadsheet else " | ").join(self.row)
            if self.spreadsheet and self.sheets:
                self.sheets[-1][1].append(joined)
            elif joined:
                (self.slides[-1] if self.slides else self.lines).append(joined)
            element.clear()
        elif name == "table":
            self.tables -= 1

    def read(self) -> Read:
        read = Read()
        if self.sheets:
            for name, rows in self.sheets:
                while rows and not rows[-1]:
                    rows.pop()
                read.add_lines(rows, "rows", before=name)
        elif self.slides:
            add_pages(read, ["\n".join(one) for one in self.slides], "slide")
        else:
            read.add_text("\n".join(self.lines))
        return read


def _odf_text(element: Any) -> str:
    """The text of a paragraph, in the order of its parts."""
    said = [element.text or ""]
    for child in element:
        name = local(child)
        if name == "s":
            said.append(" " * min(int(attribute(child, "c") or 1), REPEATED))
        elif name == "tab":
            said.append("\t")
        elif name == "line-break":
            said.append("\n")
        elif name != "annotation":
            said.append("".join(child.itertext()))
        said.append(child.tail or "")
    return "".join(said)
