"""Makes the pages' scripts out of their modules: one file per chunk (`chunks.py`), each with a source map.

In a chunk each module is a function that returns its exports, in the order in which modules run; what an `import`
takes from another one becomes constants at its beginning. A chunk is a module itself and imports other chunks by name:
the page's import map says where they are. It exports what the module of its name exports, so `import("…")` stays as it
was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from config.bundling.chunks import Chunk, divide, find_pages
from config.bundling.modules import Module, read_module
from config.bundling.printing import Printer, minify


@dataclass
class Scripts:
    """`files`: path: text. `gone`: paths of modules that are now in chunks. `pages`: what each needs, by its entry."""

    files: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    pages: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # see `_needs`
    chunks: dict[str, str] = field(default_factory=dict)  # name: path


def bundle(sources: Mapping[str, bytes], names: Mapping[str, str]) -> Scripts:
    """Bundles the modules with these texts, by path. `names`: path: by which name it is imported.

    Raises `BundleError`.
    """
    modules = {names[path]: read_module(names[path], path, text) for path, text in sources.items()}
    pages = find_pages(modules)
    chunks = divide(modules, pages)
    made = Scripts()
    of = {name: chunk.name for chunk in chunks for name in chunk.modules}
    number = {name: f"${index}" for index, name in enumerate(of)}
    shared = _shared(modules, chunks, of)
    needs: dict[str, list[str]] = {}
    for chunk in chunks:
        made.chunks[chunk.name] = _path_of(chunk, modules)
        printer, needs[chunk.name] = _print_chunk(chunk, modules, of, number, shared)
        _add(made, made.chunks[chunk.name], printer)
    made.gone = {modules[name].path for name in of} - set(made.chunks.values())
    for name, module in modules.items():
        if name not in of:
            _add(made, module.path, minify(module.path, module.text, module.root))
    for page in pages:
        made.pages[page] = _needs(page, needs, chunks, modules)
    return made


def _add(made: Scripts, path: str, printer: Printer) -> None:
    file = path.rpartition("/")[2]
    made.files[path] = f"{printer.text()}\n//# sourceMappingURL={file}.map\n"
    made.files[f"{path}.map"] = printer.source_map(file)


def _path_of(chunk: Chunk, modules: Mapping[str, Module]) -> str:
    return modules[chunk.name].path if chunk.is_entry else f"chat/js/{chunk.name.removeprefix('antiphon/')}.js"


def _shared(modules: Mapping[str, Module], chunks: list[Chunk], of: Mapping[str, str]) -> set[str]:
    """The modules that another chunk than their own needs."""
    found = {other for name, chunk in of.items() for other in modules[name].static if of[other] != chunk}
    return found | {chunk.name for chunk in chunks if chunk.is_entry and of.get(chunk.name) not in (None, chunk.name)}


def _print_chunk(
    chunk: Chunk, modules: Mapping[str, Module], of: Mapping[str, str], number: Mapping[str, str], shared: set[str]
) -> tuple[Printer, list[str]]:
    """The chunk's file, and the names of the chunks that it imports."""
    printer = Printer()
    wanted = {other for name in chunk.modules for other in modules[name].static if of[other] != chunk.name}
    if chunk.is_entry and of[chunk.name] != chunk.name:
        wanted.add(chunk.name)
    others = list(dict.fromkeys(of[name] for name in number if name in wanted))
    for other in others:
        taken = ",".join(number[name] for name in number if name in wanted and of[name] == other)
        printer.write(f'import{{{taken}}}from"{other}";')
    for name in chunk.modules:
        _print_module(printer, modules[name], number)
    given = [number[name] for name in chunk.modules if name in shared]
    if given:
        printer.write(f"export{{{','.join(given)}}};\n")
    if chunk.is_entry:
        _print_exports(printer, modules[chunk.name], number[chunk.name])
    return printer, others


def _print_module(printer: Printer, module: Module, number: Mapping[str, str]) -> None:
    printer.write(f"const {number[module.name]}=(()=>{{")
    for name, pattern in module.imports:
        if pattern:
            printer.write(f"const {pattern}={number[name]};")
    printer.write_source(module.path, module.text, module.root, module.edits)
    pairs = (name if name == local else f"{name}:{local}" for name, local in module.exports.items())
    printer.write(f"\nreturn{{{','.join(pairs)}}}}})();\n")


def _print_exports(printer: Printer, module: Module, number: str) -> None:
    for index, name in enumerate(module.exports):
        printer.write(f"const _{index}={number}.{name};export{{_{index} as {name}}};\n")


def _needs(
    page: str, needs: Mapping[str, list[str]], chunks: list[Chunk], modules: Mapping[str, Module]
) -> dict[str, list[str]]:
    """`first`: the chunks that the page loads at once; `later`: those that it may load after."""
    first = _with_needed([page], needs)
    contents = {chunk.name: chunk.modules for chunk in chunks}
    later: list[str] = []
    waiting = list(first)
    while waiting:
        name = waiting.pop()
        named = [other for one in contents[name] for other in modules[one].dynamic]
        new = [other for other in _with_needed(named, needs) if other not in first and other not in later]
        later += new
        waiting += new
    return {"first": first, "later": sorted(later)}


def _with_needed(names: list[str], needs: Mapping[str, list[str]]) -> list[str]:
    found: list[str] = []
    for name in names:
        if name not in found:
            found.append(name)
            found += [other for other in _with_needed(needs[name], needs) if other not in found]
    return found
