"""What is sent into a program imports only what any Python has loaded: an import could run the program's own code."""

import ast
import sys

import pytest

from monitor.attach.inject import payload

LOADED = {"builtins", "gc", "posix", "sys", "time"}
"""Built into every interpreter, so that no file and no import hook of the program is asked."""


@pytest.mark.parametrize("path", [payload.BOOTSTRAP, *payload.FETCHED], ids=lambda path: path.stem)
def test_what_enters_first_imports_only_builtin_modules(path):
    tree = ast.parse(path.read_text(), str(path))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module)
    assert found <= LOADED
    assert sys.builtin_module_names and set(sys.builtin_module_names) >= LOADED


def test_every_file_that_is_sent_is_of_the_probe_or_of_attaching():
    folders = (payload.PROBES, payload.BOOTSTRAP.parent)
    sent = payload.sources()
    assert {path for path in sent.values() if not any(path.is_relative_to(folder) for folder in folders)} == set()
    assert {"probe", "base.protocol", "module_loader", "teardown"} <= set(sent)
    assert not {"bootstrap", "payload", "boot.sitecustomize"} & set(sent)
