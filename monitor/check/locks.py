"""Decides which expressions are locks: from assignments in the file, else from their names."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.check.walk import Walk

_LOCK_WORDS = ("lock", "mutex", "condition")
_LOCKS = frozenset({"asyncio.Lock", "asyncio.Condition"})
_SEMAPHORES = frozenset({"asyncio.Semaphore", "asyncio.BoundedSemaphore"})
"""Locks, if created with a value of one."""


def named_locks(walk: Walk) -> frozenset[str]:
    """Names and attributes in the file to which an asyncio lock is assigned."""
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
    """Whether an expression is a mutual-exclusion lock; `named` comes from `named_locks`."""
    name = _last_name(node)
    return name in named or any(word in name.lower() for word in _LOCK_WORDS)
