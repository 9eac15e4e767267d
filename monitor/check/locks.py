"""Which expressions are locks: by what the file makes them of, else by their name."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.check.walk import Walk

_LOCK_WORDS = ("lock", "mutex", "condition")
_LOCKS = frozenset({"asyncio.Lock", "asyncio.Condition"})
_SEMAPHORES = frozenset({"asyncio.Semaphore", "asyncio.BoundedSemaphore"})
"""A lock, if they are made for one."""


def named_locks(walk: Walk) -> frozenset[str]:
    """Names and attributes of the file that are given a lock of asyncio, whatever they are called."""
    found: set[str] = set()
    for node in walk.outer:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _makes_lock(walk, node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update(_last_name(target) for target in targets)
    return frozenset(found - {""})


def _makes_lock(walk: Walk, call: ast.expr | None) -> bool:
    if not isinstance(call, ast.Call):
        return False
    name = walk.source.dotted(call.func)
    one = not call.args or (isinstance(call.args[0], ast.Constant) and call.args[0].value == 1)
    return name in _LOCKS or (name in _SEMAPHORES and one)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Call):
        return _last_name(node.func)
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.id if isinstance(node, ast.Name) else ""


def is_lock(node: ast.expr, named: frozenset[str]) -> bool:
    """Whether an expression is a lock that keeps other tasks out; `named` are those of `named_locks`."""
    name = _last_name(node)
    return name in named or any(word in name.lower() for word in _LOCK_WORDS)
