"""EPUB."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import unquote

from workers.files.base import LONGEST_PART, MAX_PARTS, Read, Unreadable, divide
from workers.files.formats.archives import Archive, attribute, local

_BLOCKS = frozenset({"p", "div", "h1", "h2", "h3", "h4", "h5", "h6", "li", "tr", "br", "blockquote", "pre", "section"})


def read_epub(path: Path) -> Read:
    """By the documents of the book in their order, which are mostly its chapters."""
    archive = Archive(path)
    if "META-INF/encryption.xml" in archive.names:
        listed = archive.read("META-INF/encryption.xml").lower()
        if any(ending in listed for ending in (b'.xhtml"', b'.html"', b'.htm"')):
            raise Unreadable("encrypted")  # not only its fonts
    package = next(
        (
            attribute(element, "full-path")
            for event, element in archive.events("META-INF/container.xml")
            if event == "end" and local(element) == "rootfile"
        ),
        "",
    )
    if package not in archive.names:
        raise Unreadable("broken")
    folder = posixpath.dirname(package)
    items: dict[str, str] = {}
    spine: list[str] = []
    for event, element in archive.events(package):
        if event == "end" and local(element) == "item":
            place = posixpath.normpath(posixpath.join(folder, unquote(attribute(element, "href"))))
            items[attribute(element, "id")] = place
        elif event == "end" and local(element) == "itemref":
            spine.append(attribute(element, "idref"))
    read = Read()
    chapters = [items[one] for one in spine if items.get(one) in archive.names][:MAX_PARTS]
    for number, name in enumerate(chapters, 1):
        if read.is_full:
            read.code = "too_long"
            break
        for piece in divide(_document_text(archive.read(name)), LONGEST_PART):
            read.add(number, f"chapter {number}", piece)
    read.total = len(chapters)
    return read


def _document_text(data: bytes) -> str:
    """The text of one XHTML document, a line for each block."""
    from lxml import etree, html

    parser = html.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)
    try:
        tree = html.document_fromstring(data, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        return ""
    said: list[str] = []
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        name = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            if name in ("script", "style", "head") or not name:
                continue
            if name in _BLOCKS:
                said.append("\n")
            if not any(above.tag in ("script", "style", "head") for above in element.iterancestors()):
                said.append(" ".join((element.text or "").split(" ")))
        else:
            if name in _BLOCKS:
                said.append("\n")
            said.append(element.tail or "")
    lines = [" ".join(line.split()) for line in "".join(said).split("\n")]
    return "\n".join(line for line in lines if line)
