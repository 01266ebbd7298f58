"""The languages whose code is coloured: those whose lexers never take long for one step.

Pygments has more than 500 lexers, and regular expressions in some of them backtrack: `html+ng2` needs 8 s for 10,000
brackets before it returns a token. `rendering` looks at its clock between two tokens, so what counts is the longest
step. Each lexer here was tried with pathological input (tests/unit/chat/markdown/test_lexers.py). No other one runs, so
lexers that look up another one for code within code (`http`, `postgresql`) are left out.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from pygments.lexer import Lexer
from pygments.lexers import find_lexer_class_by_name
from pygments.util import ClassNotFound

MAX_HIGHLIGHT_CHARS: Final = 20_000  # of one code block
MAX_LINE_CHARS: Final = 2_000  # minified code is not coloured
MAX_BLANK_CHARS: Final = 200  # a run of white space, also over line ends

_BLANK: Final = re.compile(r"\s+")

# The first alias of each, as Pygments names it.
ALLOWED: Final = frozenset(
    (
        # shells and system administration
        "bash", "powershell", "batch", "awk", "fish", "docker", "make", "cmake", "nginx", "apacheconf", "terraform",
        "nixos",
        # systems, the JVM, .NET
        "c", "cpp", "csharp", "objective-c", "java", "kotlin", "scala", "groovy", "swift", "dart", "go", "rust", "zig",
        "fsharp", "vb.net", "d", "nimrod", "cr", "haxe", "ada", "fortran", "delphi", "cobol", "nasm", "gas", "llvm",
        "verilog", "vhdl", "systemverilog", "cuda", "glsl", "solidity", "gdscript",
        # scripting, functional and scientific
        "python", "ruby", "php", "perl", "lua", "splus", "julia", "octave", "haskell", "elixir", "erlang", "clojure",
        "scheme", "common-lisp", "emacs-lisp", "elm", "prolog", "racket", "tcl", "vim",
        # the web
        "javascript", "typescript", "jsx", "tsx", "html", "css", "scss", "sass", "less", "xml", "graphql",
        # data, queries, documents
        "json", "yaml", "toml", "properties", "sql", "mysql", "protobuf", "diff", "markdown",
        "restructuredtext", "tex", "abnf", "ebnf", "gherkin",
    )
)  # fmt: skip


def is_plain_enough(code: str) -> bool:
    """Whether a code block is short enough to be coloured, as a whole and in its lines."""
    if len(code) > MAX_HIGHLIGHT_CHARS or max(map(len, code.split("\n"))) > MAX_LINE_CHARS:
        return False
    return all(run.end() - run.start() <= MAX_BLANK_CHARS for run in _BLANK.finditer(code))


@functools.lru_cache(maxsize=64)
def find_lexer(language: str) -> Lexer | None:
    """The lexer of a language by any of its names. None for an unknown language, or one that is not coloured."""
    if not language:
        return None
    try:
        found = find_lexer_class_by_name(language.lower())
    except ClassNotFound:
        return None
    if found.aliases[0] not in ALLOWED:
        return None
    # Nothing may be added or cut: the copied code is the model's, to the letter. `handlecodeblocks` is an option of the
    # lexers of Markdown and reStructuredText, which would otherwise use any lexer for the blocks in their text.
    return found(stripnl=False, ensurenl=False, handlecodeblocks=False)
