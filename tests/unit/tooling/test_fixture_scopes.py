"""Fixtures of a file or a folder stay there. `pytest_plugins` of a test file would offer its fixtures to every file
that is collected after it, in place of fixtures of the same name that those files mean; a conftest.py does not.
"""

from __future__ import annotations

import ast
from pathlib import Path

TESTS = Path(__file__).parents[2]


def loads_plugins(path: Path) -> bool:
    if "pytest_plugins" not in (source := path.read_text()):
        return False
    targets = [
        target
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    return any(isinstance(target, ast.Name) and target.id == "pytest_plugins" for target in targets)


def test_only_the_first_conftest_loads_plugins() -> None:
    assert [str(path.relative_to(TESTS)) for path in sorted(TESTS.rglob("*.py")) if loads_plugins(path)] == [
        "conftest.py"
    ]
