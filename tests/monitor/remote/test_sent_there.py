"""What is sent to the other side of `--via`: complete, standard library only, and readable by Python 3.8."""

from __future__ import annotations

import ast
import sys

import pytest

from monitor.remote import sent

MODULES = sorted({*sent.MODULES, *sent.INSTEAD.values(), sent.RELAY})


def imports(tree: ast.AST) -> set[str]:
    """Modules that are imported at run time, anywhere in a file: absolute names."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Try) and any("ImportError" in ast.dump(handler) for handler in node.handlers):
            continue  # it does without
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if sent.path_of(inner).exists() else node.module)
        found |= imports(node)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_module_that_is_sent_finds_all_that_it_imports(module: str) -> None:
    tree = ast.parse(sent.path_of(module).read_text(), feature_version=(3, 8))
    for name in imports(tree):
        known = name in sent.MODULES or name in sent.INSTEAD or name.partition(".")[0] in sys.stdlib_module_names
        assert known, f"{module} imports {name}"


def test_nothing_is_sent_that_nobody_imports() -> None:
    used = {"monitor.remote.there.older", "monitor.remote.there.requests"}
    for module in MODULES:
        used |= imports(ast.parse(sent.path_of(module).read_text()))
    assert set(sent.MODULES) <= used
