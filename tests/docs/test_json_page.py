"""docs/json.md names every field of the commands that it describes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = {
    "monitor/plain/objects.py": (
        "task_object",
        "ended_object",
        "canceller_object",
        "slow_callback_object",
        "holder_object",
        "blocked_object",
        "task_ended_object",
        "unhandled_object",
    ),
    "monitor/plain/stream.py": ("_loop", "losses"),
    "monitor/plain/many_stream.py": ("change_object",),
    "monitor/plain/groups.py": ("group_object",),
    "monitor/plain/flame.py": ("profile_object",),
    "monitor/trace/explain.py": ("reason_object", "_part_object"),
}


@pytest.mark.parametrize("file", OBJECTS)
def test_every_field_is_named(file: str) -> None:
    named = set(re.findall(r"`([^`]*)`", (ROOT / "docs/json.md").read_text() + (ROOT / "docs/flame.md").read_text()))
    words = {word for one in named for word in re.findall(r"\w+", one)}
    functions = {
        node.name: node
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.FunctionDef) and node.name in OBJECTS[file]
    }
    assert set(functions) == set(OBJECTS[file])
    fields = {
        key.value
        for function in functions.values()
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert fields and fields <= words, fields - words
