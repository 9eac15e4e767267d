"""LT10 and LT11: tasks without a reference, and coroutines that are never awaited."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from monitor.check.walk import Finding, Walk, short

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOOPS = frozenset(
    {"asyncio.get_event_loop", "asyncio.get_running_loop", "asyncio.new_event_loop", "asyncio.events.get_running_loop"}
)
_LOOP_NAMES = frozenset({"loop", "_loop", "event_loop", "_event_loop", "ioloop"})
_MAKE_TASKS = frozenset({"asyncio.create_task", "asyncio.ensure_future"})


def inspect(walk: Walk) -> Iterator[Finding]:
    """Yield findings as (node, code, what)."""
    for node in walk.outer:
        if isinstance(node, ast.Expr):
            yield from _dropped(walk, node.value)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield from _assigned(walk, node, node.targets[0].id)
        elif isinstance(node, ast.If | ast.While | ast.Assert | ast.IfExp):
            yield from _tested(walk, node.test)
        elif isinstance(node, ast.For) and walk.makes_coroutine(node.iter):
            yield node.iter, "LT11", short(node.iter)


def _dropped(walk: Walk, value: ast.expr) -> Iterator[Finding]:
    if _makes_task(walk, value):
        yield value, "LT10", short(value)
    elif walk.makes_coroutine(value):
        yield value, "LT11", short(value)


def _assigned(walk: Walk, node: ast.Assign, name: str) -> Iterator[Finding]:
    """A local name that is never read keeps a task until the function returns, but does not await a coroutine."""
    function = walk.function(node)
    if function is None:
        return
    names = walk.names(function)
    if name not in names.loaded and name not in names.shared:
        yield from _dropped(walk, node.value)


def _tested(walk: Walk, test: ast.expr) -> Iterator[Finding]:
    """A coroutine tested for truth, which is always true."""
    operands = test.values if isinstance(test, ast.BoolOp) else [test]
    for operand in operands:
        inner = operand.operand if isinstance(operand, ast.UnaryOp) else operand
        if walk.makes_coroutine(inner):
            yield inner, "LT11", short(inner)


def _makes_task(walk: Walk, node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if walk.source.dotted(node.func) in _MAKE_TASKS:
        return True
    if not isinstance(node.func, ast.Attribute) or node.func.attr != "create_task":
        return False
    receiver = node.func.value
    if isinstance(receiver, ast.Call):
        return walk.source.dotted(receiver.func) in _LOOPS
    name = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
    names = walk.names(walk.function(node) or walk.source.tree)
    is_loop = name in _LOOP_NAMES or not _LOOPS.isdisjoint(names.classes.get(name, ()))
    return is_loop and name not in names.entered  # a task group keeps its tasks, whatever its name
