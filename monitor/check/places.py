"""Names the state that a coroutine function shares with other tasks: `self.total`, `cache[key]`, a global."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.check.walk import Function, Walk


class Places:
    """The shared state of one function. Local state has no name here."""

    def __init__(self, walk: Walk, function: Function) -> None:
        self._outside = _outside_names(walk, function)
        self._given = _given_names(function)

    def of(self, node: ast.expr) -> str | None:
        """The name of shared state, or None if it is local."""
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id in self._given:
                return f"{node.value.id}.{node.attr}"
            inner = self.of(node.value)
            return None if inner is None else f"{inner}.{node.attr}"
        if isinstance(node, ast.Subscript):
            inner = self.of(node.value)
            return None if inner is None else f"{inner}[{ast.unparse(node.slice)}]"
        if isinstance(node, ast.Name):
            return node.id if node.id in self._outside else None
        return None

    def looked_at(self, node: ast.AST) -> str | None:
        """The shared state that an expression inspects: `self.d.get(key)` inspects `self.d[key]`."""
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and node.args
        ):
            container = self.of(node.func.value)
            return None if container is None else f"{container}[{ast.unparse(node.args[0])}]"
        if isinstance(node, ast.Attribute | ast.Name | ast.Subscript) and isinstance(node.ctx, ast.Load):
            return self.of(node)
        return None


def _given_names(function: Function) -> frozenset[str]:
    """Arguments that are never reassigned: other tasks may know the objects they refer to."""
    arguments = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    return frozenset({"self", "cls"} | (arguments - stored))


def _outside_names(walk: Walk, function: Function) -> frozenset[str]:
    """Names shared with other functions: global, nonlocal, or assigned in the module."""
    declared: set[str] = set()
    local = {argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Global | ast.Nonlocal):
            declared.update(node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            local.add(node.id)
    return frozenset(declared | (walk.module_values - local))
