"""LT01 to LT09: deprecated or removed asyncio interfaces."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from monitor.check.source import STAND_IN
from monitor.check.walk import COROUTINES, Finding, Walk, short

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAKE_NO_LOOP = (COROUTINES - {"asyncio.to_thread"}) | {
    "asyncio.gather",
    "asyncio.shield",
    "asyncio.as_completed",
    "asyncio.Lock",
    "asyncio.Event",
    "asyncio.Condition",
    "asyncio.Semaphore",
    "asyncio.BoundedSemaphore",
    "asyncio.Queue",
    "asyncio.PriorityQueue",
    "asyncio.LifoQueue",
}
_BY_NAME = ("getattr(asyncio, 'async')", f"getattr(asyncio, '{STAND_IN}')")
_TASK_METHODS = frozenset({"asyncio.Task.all_tasks", "asyncio.Task.current_task"})


def inspect(walk: Walk) -> Iterator[Finding]:
    """Yield findings as (node, code, what)."""
    dotted = walk.source.dotted
    for node in walk.outer:
        if isinstance(node, ast.FunctionDef):
            yield from _decorated(walk, node)
        elif isinstance(node, ast.YieldFrom):
            yield from _yield_from(walk, node)
        elif isinstance(node, ast.Call):
            yield from _call(walk, node)
        elif isinstance(node, ast.Attribute | ast.Name):
            name = dotted(node)
            if name in _TASK_METHODS:
                yield node, "LT07", name
            elif name == "sys.set_coroutine_wrapper":
                yield node, "LT08", name
            elif name == f"asyncio.{STAND_IN}":
                yield node, "LT09", "asyncio.async"


def _decorated(walk: Walk, node: ast.FunctionDef) -> Iterator[Finding]:
    for decorator in node.decorator_list:
        name = walk.source.dotted(decorator)
        if name == "asyncio.coroutine":
            yield decorator, "LT01", node.name
        elif name == "types.coroutine":
            yield decorator, "LT02", node.name


def _yield_from(walk: Walk, node: ast.YieldFrom) -> Iterator[Finding]:
    around = walk.function(node)
    names = {walk.source.dotted(d) for d in around.decorator_list} if isinstance(around, ast.FunctionDef) else set()
    if names & {"asyncio.coroutine", "types.coroutine"}:
        return  # reported at the decorator
    if walk.makes_coroutine(node.value):
        yield node, "LT02", f"yield from {short(node.value)}"


def _call(walk: Walk, node: ast.Call) -> Iterator[Finding]:
    name = walk.source.dotted(node.func)
    if name is None:
        return
    if name in _TAKE_NO_LOOP:
        for keyword in node.keywords:
            if keyword.arg == "loop":
                yield keyword.value, "LT03", f"{name}(loop=…)"
    if name == "asyncio.ensure_future" and node.args and walk.makes_coroutine(node.args[0]):
        yield node, "LT04", short(node)
    elif name == "asyncio.get_event_loop" and not isinstance(walk.function(node), ast.AsyncFunctionDef):
        yield node, "LT05", "asyncio.get_event_loop()"
    elif name == "asyncio.wait" and node.args:
        yield from _waited(walk, node)
    elif name == "getattr" and ast.unparse(node) in _BY_NAME:
        yield node, "LT09", 'getattr(asyncio, "async")'


def _waited(walk: Walk, node: ast.Call) -> Iterator[Finding]:
    first: ast.expr = node.args[0]
    function = walk.function(node)
    if isinstance(first, ast.Name) and function is not None:
        first = _assigned(function, first.id, node.lineno) or first
    for element in _elements(first):
        if walk.makes_coroutine(element):
            yield element, "LT06", short(element)
            return


def _assigned(function: ast.AST, name: str, before: int) -> ast.expr | None:
    """The value last assigned to a local name before a line."""
    last: ast.Assign | None = None
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or not (last.lineno if last is not None else 0) < node.lineno < before:
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            last = node
    return None if last is None else last.value


def _elements(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return node.elts
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        return [node.elt]
    return []
