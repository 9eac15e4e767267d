"""Walks the functions of a file: their nesting, and which calls are known to create coroutines."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from monitor.check.source import Source

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Finding: TypeAlias = tuple[ast.expr | ast.stmt, str, str]
"""Node, code of the rule, and a short description."""
Scope: TypeAlias = Function | ast.Lambda | ast.ClassDef | ast.Module

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)

COROUTINES = frozenset(
    {
        "asyncio.sleep",
        "asyncio.wait",
        "asyncio.wait_for",
        "asyncio.to_thread",
        "asyncio.open_connection",
        "asyncio.start_server",
        "asyncio.open_unix_connection",
        "asyncio.start_unix_server",
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
    }
)
"""Coroutine functions of asyncio."""

_KEEPS_KIND = frozenset({"staticmethod", "classmethod", "abc.abstractmethod", "typing.override", "typing.final"})
"""Decorators that leave a coroutine function one. Others are unknown, and may run it."""


@dataclass(slots=True)
class Names:
    """How a function, including the functions nested in it, uses its names."""

    loaded: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    """Declared global or nonlocal."""
    classes: dict[str, set[str]] = field(default_factory=dict)
    """For each assigned name, the full names of calls or annotations of its values; "" is anything else."""
    entered: set[str] = field(default_factory=set)
    """Assigned by `async with`."""

    @classmethod
    def of(cls, scope: ast.AST, source: Source) -> Names:
        """Analyse a function, or a whole file, once."""
        names = cls()
        made: dict[ast.AST, str] = {}
        for node in ast.walk(scope):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                names.loaded.add(node.id)
            elif isinstance(node, ast.Name):
                names.classes.setdefault(node.id, set()).add(made.get(node, ""))
            elif isinstance(node, ast.Global | ast.Nonlocal):
                names.shared.update(node.names)
            elif isinstance(node, ast.arg):
                annotation = "" if node.annotation is None else source.dotted(node.annotation)
                names.classes.setdefault(node.arg, set()).add(annotation or "")
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                called = source.dotted(node.value.func) or ""
                made.update(dict.fromkeys(node.targets, called))  # its names come later in the walk
            elif isinstance(node, ast.AsyncWith):
                names.entered.update(i.optional_vars.id for i in node.items if isinstance(i.optional_vars, ast.Name))
        return names


class Walk:
    """The scopes of one file, outermost first, and facts about its functions."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.outer: dict[ast.AST, tuple[Scope, ...]] = {}
        """For every node, the scopes around it, outermost first."""
        self.module_values: set[str] = set()
        """Names assigned at module level."""
        self._coroutines: dict[Scope, dict[str, bool]] = {}
        self._names: dict[ast.AST, Names] = {}
        self._classes = {node.name: node for node in source.tree.body if isinstance(node, ast.ClassDef)}
        self._mark(source.tree, (source.tree,))
        for node, scopes in self.outer.items():
            self._note(node, scopes[-1])

    def _mark(self, node: ast.AST, scopes: tuple[Scope, ...]) -> None:
        pending: list[tuple[ast.AST, tuple[Scope, ...]]] = [(node, scopes)]
        while pending:  # not recursive: a file may nest deeper than Python's stack
            here, around = pending.pop()
            for child in ast.iter_child_nodes(here):
                self.outer[child] = around
                pending.append((child, (*around, child) if isinstance(child, _SCOPES) else around))

    def _note(self, node: ast.AST, scope: Scope) -> None:
        known = self._coroutines.setdefault(scope, {})
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            makes = isinstance(node, ast.AsyncFunctionDef) and all(
                self.source.dotted(decorator) in _KEEPS_KIND for decorator in node.decorator_list
            )
            known[node.name] = makes and known.get(node.name, True)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            known[node.id] = False
            if isinstance(scope, ast.Module):
                self.module_values.add(node.id)
        elif isinstance(node, ast.arg):
            known[node.arg] = False
        elif isinstance(node, ast.ClassDef):
            known[node.name] = False
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                known[alias.asname or alias.name.partition(".")[0]] = False

    def function(self, node: ast.AST) -> Function | ast.Lambda | None:
        """The innermost function that contains a node."""
        for scope in reversed(self.outer.get(node, ())):
            if isinstance(scope, ast.ClassDef | ast.Module):
                return None
            return scope
        return None

    def makes_coroutine(self, node: ast.AST) -> bool:
        """Whether an expression is a call that certainly creates a coroutine (or an asynchronous generator)."""
        if not isinstance(node, ast.Call):
            return False
        scopes = self.outer.get(node, ())
        if isinstance(node.func, ast.Name):
            for scope in reversed(scopes):
                known = self._coroutines.get(scope, {})
                if node.func.id in known and (not isinstance(scope, ast.ClassDef) or scope is scopes[-1]):
                    return known[node.func.id] or self._is_asyncio(node.func)
            return self._is_asyncio(node.func)
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            if node.func.value.id in ("self", "cls"):
                made = next((s for s in reversed(scopes) if isinstance(s, ast.ClassDef)), None)
            else:
                made = self._class_of(node.func.value)
            if made is not None:
                return self._coroutines.get(made, {}).get(node.func.attr, False)
            return self._is_asyncio(node.func)
        return False

    def names(self, scope: ast.AST) -> Names:
        """The uses of names in a function, or in the whole file."""
        if scope not in self._names:
            self._names[scope] = Names.of(scope, self.source)
        return self._names[scope]

    def _class_of(self, name: ast.Name) -> ast.ClassDef | None:
        """The class in this file of which a local name is certainly an instance, by creation or annotation."""
        function = self.function(name)
        classes = set() if function is None else self.names(function).classes.get(name.id, set())
        return self._classes.get(next(iter(classes))) if len(classes) == 1 else None

    def _is_asyncio(self, node: ast.expr) -> bool:
        return self.source.dotted(node) in COROUTINES


def short(node: ast.expr) -> str:
    """An expression as short text."""
    text = ast.unparse(node).split("\n")[0]
    return text if len(text) <= 60 else text[:59] + "…"
