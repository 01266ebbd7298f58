"""What the bundler has to know of a module's text: imports, exports, and where they stand. Parsed by tree-sitter.

Modules are written as browsers run them. What cannot be moved into a bundle without a change of meaning is refused:
`await` at the top level, exports that are assigned again, patterns in an exported declaration, re-exports.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

FUNCTIONS: Final = frozenset(
    ("function_declaration", "function_expression", "arrow_function", "method_definition", "generator_function",
     "generator_function_declaration", "class_static_block", "field_definition")
)  # fmt: skip


class BundleError(Exception):
    """A module that cannot be bundled, in a sentence that names its file and line."""


@dataclass
class Module:
    """One module. `name`: by which it is imported; `path`: of the file, for people and for source maps."""

    name: str
    path: str
    text: bytes
    root: Node = field(repr=False)
    imports: list[tuple[str, str]] = field(default_factory=list)  # name of the module, pattern that takes its exports
    dynamic: list[str] = field(default_factory=list)  # names in `import("…")`
    exports: dict[str, str] = field(default_factory=dict)  # exported name: local name
    edits: dict[int, tuple[int, str]] = field(default_factory=dict)  # first byte: the byte after the last, replacement

    @property
    def static(self) -> list[str]:
        """The names of the modules that must run before this one."""
        return [name for name, _ in self.imports]

    @property
    def is_module(self) -> bool:
        """Whether it imports or exports anything; else it is a classic script, or runs by itself."""
        return bool(self.imports or self.exports or self.dynamic)


def parse(text: bytes, path: str) -> Node:
    """The syntax tree. Raises `BundleError` where the text is no JavaScript."""
    root = Parser(_language()).parse(text).root_node
    if root.has_error:
        wrong = next(node for node in _walk(root) if node.is_error or node.is_missing)
        raise BundleError(f"{path}:{wrong.start_point.row + 1}: this is no JavaScript that the bundler can read.")
    return root


def read_module(name: str, path: str, text: bytes) -> Module:
    """Reads a module. Raises `BundleError`."""
    module = Module(name, path, text, parse(text, path))
    for node in module.root.children:
        if node.type == "import_statement":
            _read_import(module, node)
        elif node.type == "export_statement":
            _read_export(module, node)
    for node in _walk(module.root):
        if node.type == "import" and node.parent is not None and node.parent.type == "call_expression":
            _read_dynamic(module, node.parent)
        elif node.type == "await_expression" and not any(one.type in FUNCTIONS for one in _above(node)):
            raise _refusal(module, node, "`await` at the top level of a module cannot be bundled")
    return module


def _read_import(module: Module, node: Node) -> None:
    source = node.child_by_field_name("source")
    assert source is not None
    clause = next((child for child in node.children if child.type == "import_clause"), None)
    name = _text(source)[1:-1]
    for part in clause.named_children if clause else ():
        match part.type:
            case "identifier":
                module.imports.append((name, f"{{default:{_text(part)}}}"))
            case "namespace_import":
                module.imports.append((name, _text(part.named_children[0])))
            case "named_imports":
                names = (_specifier(one) for one in part.named_children if one.type == "import_specifier")
                pattern = ",".join(local if local == outer else f"{outer}:{local}" for outer, local in names)
                module.imports.append((name, f"{{{pattern}}}"))
    if clause is None:
        module.imports.append((name, ""))
    module.edits[node.start_byte] = node.end_byte, ""


def _read_export(module: Module, node: Node) -> None:
    declaration, value = node.child_by_field_name("declaration"), node.child_by_field_name("value")
    if node.child_by_field_name("source") is not None or any(child.type == "*" for child in node.children):
        raise _refusal(module, node, "an export from another module cannot be bundled: import it, then export it")
    is_default = any(child.type == "default" for child in node.children)
    if declaration is not None:
        names = _declared(module, declaration)
        module.exports.update({"default": names[0]} if is_default else {name: name for name in names})
        module.edits[node.start_byte] = declaration.start_byte, ""
    elif value is not None:
        module.exports["default"] = "$default"
        module.edits[node.start_byte] = value.start_byte, "const $default="
    else:
        for clause in node.named_children:
            for one in clause.named_children if clause.type == "export_clause" else ():
                local, outer = _specifier(one)
                module.exports[outer] = local
        module.edits[node.start_byte] = node.end_byte, ""


def _declared(module: Module, node: Node) -> list[str]:
    if node.type == "variable_declaration" or (node.type == "lexical_declaration" and node.children[0].type == "let"):
        raise _refusal(module, node, "an exported variable must be a `const`: bundles copy its value")
    if node.type != "lexical_declaration":
        name = node.child_by_field_name("name")
        if name is None:
            raise _refusal(module, node, "an exported function or class needs a name")
        return [_text(name)]
    names = [one.child_by_field_name("name") for one in node.named_children if one.type == "variable_declarator"]
    if any(name is None or name.type != "identifier" for name in names):
        raise _refusal(module, node, "an exported declaration with a pattern cannot be bundled")
    return [_text(name) for name in names if name is not None]


def _read_dynamic(module: Module, call: Node) -> None:
    arguments = call.child_by_field_name("arguments")
    first = arguments.named_children[0] if arguments and arguments.named_children else None
    if first is None or first.type != "string":
        raise _refusal(module, call, "`import()` needs a string: which modules are loaded later is decided here")
    module.dynamic.append(_text(first)[1:-1])


def _specifier(node: Node) -> tuple[str, str]:
    """The name before `as` and the one after it, which is the same without `as`."""
    name, alias = node.child_by_field_name("name"), node.child_by_field_name("alias")
    assert name is not None
    return _text(name), _text(alias or name)


def _refusal(module: Module, node: Node, why: str) -> BundleError:
    return BundleError(f"{module.path}:{node.start_point.row + 1}: {why}.")


def _text(node: Node) -> str:
    assert node.text is not None
    return node.text.decode()


def _walk(node: Node) -> Iterator[Node]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(one.children))


def _above(node: Node) -> Iterator[Node]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


@functools.cache
def _language() -> Language:
    return Language(tree_sitter_javascript.language())
