"""Which modules share a file. Pure.

Each page's entry and each module that is imported later (`import("…")`) is the entry of a chunk. A module goes into the
chunk of the entry that needs it; what several entries need goes into a chunk of its own, unless all pages on which an
entry can be imported have loaded the module before. Modules are never in two chunks, so each runs once.

What a page needs at once and shares, with whichever entries, is one chunk for all pages: a request costs more than the
few kilobytes that a page does not need of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from config.bundling.modules import BundleError, Module

PAGES_CHUNK: Final = "antiphon/chunks/pages"


@dataclass(frozen=True)
class Chunk:
    """One file. `name`: by which it is imported; `modules`: in the order in which they run."""

    name: str
    modules: tuple[str, ...]
    is_entry: bool


def find_pages(modules: Mapping[str, Module]) -> list[str]:
    """The entries of pages: modules with imports that no module imports."""
    imported = {name for module in modules.values() for name in (*module.static, *module.dynamic)}
    return sorted(name for name, module in modules.items() if module.imports and name not in imported)


def divide(modules: Mapping[str, Module], pages: Sequence[str]) -> list[Chunk]:
    """The chunks of all pages. Raises `BundleError` for a circle of imports and for a module that is not there."""
    order = _order(modules, pages)
    later = {name for one in order for name in modules[one].dynamic}
    needs = {entry: _closure(modules, [entry], dynamic=False) for entry in (*pages, *later)}
    reach = {page: _closure(modules, [page], dynamic=True) for page in pages}
    groups: dict[frozenset[str], list[str]] = {}
    at_once: list[str] = []
    for name in order:
        users = {entry for entry, needed in needs.items() if name in needed}
        loaded = {
            entry for entry in users - set(pages) if all(name in needs[page] for page in pages if entry in reach[page])
        }
        wanted = frozenset(users - loaded)
        shared = len(wanted) > 1 and not wanted.isdisjoint(pages)
        (at_once if shared else groups.setdefault(wanted, [])).append(name)
    chunks = [Chunk(PAGES_CHUNK, tuple(at_once), is_entry=False)] if at_once else []
    chunks += [_chunk(users, names) for users, names in groups.items()]
    made = {chunk.name for chunk in chunks}
    return chunks + [Chunk(entry, (), is_entry=True) for entry in sorted(later - made)]


def _chunk(users: frozenset[str], names: list[str]) -> Chunk:
    if len(users) == 1:
        return Chunk(next(iter(users)), tuple(names), is_entry=True)
    return Chunk(
        f"antiphon/chunks/{names[-1].removeprefix('antiphon/').replace('/', '-')}", tuple(names), is_entry=False
    )


def _closure(modules: Mapping[str, Module], start: Iterable[str], *, dynamic: bool) -> set[str]:
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += modules[name].static + (modules[name].dynamic if dynamic else [])
    return seen


def _order(modules: Mapping[str, Module], pages: Sequence[str]) -> list[str]:
    """All modules that the pages can load, each after those that it imports."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name not in modules:
            raise BundleError(f"{modules[way[-1]].path} imports {name!r}, and there is no such module.")
        if name in way:
            raise BundleError(f"Modules import each other in a circle: {' → '.join((*way[way.index(name) :], name))}.")
        if name not in seen:
            for other in modules[name].static:
                visit(other, (*way, name))
            seen.add(name)
            order.append(name)

    for page in pages:
        visit(page, ())
    for name in order:  # which grows
        for other in modules[name].dynamic:
            visit(other, () if other in modules else (name,))
    return order
