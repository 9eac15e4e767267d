"""LT12: shared state that is read before an await and written after it, without a lock.

Each coroutine function is followed statement by statement, in the order of evaluation. A read of shared state is
fresh until the function awaits; a write based on it afterwards may undo another task's update:

* `self.total += await cost()`: the old value is read first;
* `total = self.total`, an await, `self.total = total + 1`: a local name carries the old value over;
* `if key not in self.cache:`, an await, `self.cache[key] = …`: the result of the test is stale.

Shared state is what other tasks can reach: attributes of `self`, `cls` and other arguments, global and nonlocal names,
and their items.
Nothing is reported within `async with` on a lock, or between `acquire()` and `release()`. A new read or test after the
await makes the state fresh again. A constant written after a test (`self.closed = True`) loses no update and is not
reported, nor is a value restored in a `finally` (`self.shield = before`).
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from monitor.check.locks import is_lock, named_locks
from monitor.check.places import Places
from monitor.check.reads import Read, State
from monitor.check.walk import Finding, Walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DEEP = 4
"""Nesting depth down to which a loop body is followed twice."""
_TAKES = frozenset({"pop", "popleft", "popitem", "remove"})
"""Methods that remove an item: after a stale "is it there?" test they raise, or take another task's item."""


def inspect(walk: Walk) -> Iterator[Finding]:
    """Yield findings as (node, code, what)."""
    locks = named_locks(walk)
    for node in walk.outer:
        if isinstance(node, ast.AsyncFunctionDef):
            yield from _FunctionAnalysis(walk, node, locks).run()


class _FunctionAnalysis:
    """Follows one coroutine function."""

    def __init__(self, walk: Walk, function: ast.AsyncFunctionDef, locks: frozenset[str]) -> None:
        self._walk, self._function, self._locks = walk, function, locks
        self._places = Places(walk, function)
        self._depth = 0
        self._finally = 0
        self._found: dict[tuple[int, int], Finding] = {}

    def run(self) -> Iterator[Finding]:
        """Yield every write that may undo another task's."""
        self._block(self._function.body, State())
        return iter(self._found.values())

    # Statements

    def _block(self, body: Sequence[ast.stmt], state: State) -> bool:
        """Follow statements; returns whether their end is reached."""
        return all(self._statement(statement, state) for statement in body)

    def _statement(self, node: ast.stmt, state: State) -> bool:
        match node:
            case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
                self._parts(node, state)
                return False
            case ast.If():
                return self._if(node, state)
            case ast.While() | ast.For() | ast.AsyncFor():
                self._loop(node, state)
            case ast.With() | ast.AsyncWith():
                return self._with(node, state)
            case ast.Try() | ast.TryStar():
                return self._try(node, state)
            case ast.Match():
                self._value(node.subject, state)
                self._branches([case.body for case in node.cases], state, may_skip=True)
            case ast.Assign():
                self._assign(node.targets, node.value, state)
            case ast.AnnAssign() if node.value is not None:
                self._assign([node.target], node.value, state)
            case ast.AugAssign():
                self._augmented(node, state)
            case ast.Delete():
                for target in node.targets:
                    self._delete(target, state)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                pass  # followed separately
            case _:
                self._parts(node, state)
        return True

    def _parts(self, node: ast.stmt, state: State) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._value(child, state)

    def _if(self, node: ast.If, state: State) -> bool:
        reads = self._question(node.test, state)
        before = dict(state.asked)
        state.asked.update(reads)
        other = state.copy()
        through = self._block(node.body, state)
        through_other = self._block(node.orelse, other)
        if through and through_other:
            state.join(other)
            state.asked = {place: read for place, read in state.asked.items() if place in before}
        elif through_other:
            self._become(state, other)  # the test decides that this point is reached
        return through or through_other

    def _loop(self, node: ast.While | ast.For | ast.AsyncFor, state: State) -> None:
        before = dict(state.asked)
        self._depth += 1
        for _ in range(2 if self._depth <= _DEEP else 1):  # the second time with the state at the end of the body
            if isinstance(node, ast.While):
                self._question(node.test, state)
            else:
                reads = self._value(node.iter, state)
                if isinstance(node, ast.AsyncFor):
                    state.awaits()
                self._write(node.target, reads, None, state)
            inner = state.copy()
            self._block(node.body, inner)
            state.join(inner)
        self._depth -= 1
        state.asked = {place: read for place, read in state.asked.items() if place in before}
        self._block(node.orelse, state)

    def _with(self, node: ast.With | ast.AsyncWith, state: State) -> bool:
        asynchronous = isinstance(node, ast.AsyncWith)
        guards = 0
        for item in node.items:
            self._value(item.context_expr, state)
            if asynchronous:
                state.awaits()
            if asynchronous and is_lock(item.context_expr, self._locks):
                guards += 1
                state.guards += 1
                state.asked.clear()  # double-checked locking repeats the test under the lock
            if item.optional_vars is not None:
                self._write(item.optional_vars, {}, None, state)
        through = self._block(node.body, state)
        for _ in range(guards):
            state.unguard()
        if asynchronous and guards < len(node.items):  # releasing a lock does not suspend
            state.awaits()
        return through

    def _try(self, node: ast.Try | ast.TryStar, state: State) -> bool:
        start = state.copy()
        through = self._block(node.body, state) and self._block(node.orelse, state)
        start.join(state)
        handled = [self._branch(handler.body, start) for handler in node.handlers]
        ends = [end for end in handled if end is not None]
        if not through and ends:
            self._become(state, ends[0])
        for end in ends:
            state.join(end)
        self._finally += 1
        at_end = self._block(node.finalbody, state)
        self._finally -= 1
        return at_end and (through or bool(ends))

    def _branch(self, body: Sequence[ast.stmt], start: State) -> State | None:
        state = start.copy()
        return state if self._block(body, state) else None

    def _branches(self, bodies: Sequence[Sequence[ast.stmt]], state: State, may_skip: bool) -> None:
        ends = [end for end in (self._branch(body, state) for body in bodies) if end is not None]
        if not may_skip and ends:
            self._become(state, ends[0])
        for end in ends:
            state.join(end)

    def _become(self, state: State, other: State) -> None:
        state.carried, state.asked, state.guards = other.carried, other.asked, other.guards

    # Expressions

    def _question(self, test: ast.expr, state: State) -> dict[str, Read]:
        """Follow the test of an `if`: state it inspects anew becomes fresh."""
        reads = self._value(test, state)
        for place, read in reads.items():
            if not read.stale:
                state.fresh(place)
        return reads

    def _value(self, node: ast.expr, state: State) -> dict[str, Read]:
        """Follow an expression in the order of evaluation; returns the reads on which its value depends."""
        reads: dict[str, Read] = {}
        self._follow(node, state, reads)
        return reads

    def _follow(self, node: ast.AST, state: State, reads: dict[str, Read]) -> None:
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, ast.Call) and self._lock_call(node, state):
            return
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], ast.In | ast.NotIn):
            self._follow(node.left, state, reads)
            container = self._places.of(node.comparators[0])
            if container is not None:
                self._read(f"{container}[{ast.unparse(node.left)}]", node, state, reads)
                return
        place = self._places.looked_at(node)
        if place is not None and isinstance(node, ast.expr):
            self._read(place, node, state, reads)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            for carried, read in state.carried.get(node.id, {}).items():
                reads.setdefault(carried, read)
        for child in ast.iter_child_nodes(node):
            self._follow(child, state, reads)
        if isinstance(node, ast.NamedExpr):
            state.carried[node.target.id] = dict(reads)
        if isinstance(node, ast.Await) or (isinstance(node, ast.comprehension) and node.is_async):
            for read in reads.values():
                read.stale = read.stale or not read.guarded
            state.awaits()
        if isinstance(node, ast.Call):
            self._taken(node, state)

    def _read(self, place: str, node: ast.expr, state: State, reads: dict[str, Read]) -> None:
        reads[place] = Read(node, guarded=state.guards > 0)

    def _lock_call(self, node: ast.Call, state: State) -> bool:
        """`await lock.acquire()` guards what follows, `lock.release()` ends that."""
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in ("acquire", "release"):
            return False
        if not is_lock(node.func.value, self._locks):
            return False
        if node.func.attr == "acquire":
            state.guards += 1
            state.asked.clear()
        elif state.guards:
            state.unguard()
        return True

    def _taken(self, node: ast.Call, state: State) -> None:
        """`self.jobs.pop(key)`: a write, if the "is it there?" test is stale."""
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in _TAKES or len(node.args) > 1:
            return
        container = self._places.of(node.func.value)
        if container is None:
            return
        places = [f"{container}[{ast.unparse(argument)}]" for argument in node.args]
        if node.func.attr != "remove":  # `remove` names an item, so a test for emptiness says nothing about it
            places.append(container)
        for place in places:
            asked = state.asked.get(place)
            if asked is not None and asked.stale and not state.guards:
                self._report(node, place, asked)

    # Writes

    def _assign(self, targets: Sequence[ast.expr], value: ast.expr, state: State) -> None:
        reads = self._value(value, state)
        for target in targets:
            self._write(target, reads, value, state)

    def _augmented(self, node: ast.AugAssign, state: State) -> None:
        place = self._places.of(node.target)
        old: dict[str, Read] = {}
        if place is not None:
            self._read(place, node.target, state, old)
        elif isinstance(node.target, ast.Name):
            old = dict(state.carried.get(node.target.id, {}))
        self._follow(node.value, state, old)
        self._write(node.target, old, node.value, state)

    def _write(self, target: ast.expr, reads: dict[str, Read], value: ast.expr | None, state: State) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                self._write(element, reads, value, state)
            return
        if isinstance(target, ast.Starred):
            self._write(target.value, reads, value, state)
            return
        place = self._places.of(target)
        if place is None:
            if isinstance(target, ast.Name):
                state.carried[target.id] = dict(reads)
            return
        old = reads.get(place)
        asked = state.asked.get(place)
        restores = self._finally > 0 and isinstance(value, ast.Name)
        if old is not None and old.stale and not old.guarded and not restores:
            self._report(target, place, old)
        elif asked is not None and asked.stale and not state.guards and not _constant(value):
            self._report(target, place, asked)
        state.asked.pop(place, None)

    def _delete(self, target: ast.expr, state: State) -> None:
        place = self._places.of(target)
        asked = state.asked.pop(place, None) if place is not None else None
        if place is not None and asked is not None and asked.stale and not state.guards:
            self._report(target, place, asked)

    def _report(self, node: ast.expr, place: str, read: Read) -> None:
        since = "on the same line" if read.node.lineno == node.lineno else f"on line {read.node.lineno}"
        self._found.setdefault((node.lineno, node.col_offset), (node, "LT12", f"{place}, read {since}"))


def _constant(value: ast.expr | None) -> bool:
    """`None`, a literal, or a member of an enumeration."""
    if isinstance(value, ast.Attribute):
        return value.attr.isupper()
    return value is None or isinstance(value, ast.Constant)
