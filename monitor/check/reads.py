"""The analysis state at one point of a coroutine function: reads of shared state in use, and how old they are."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator


@dataclass(slots=True)
class Read:
    """One read of shared state whose result is still in use."""

    node: ast.expr
    stale: bool = False
    guarded: bool = False


@dataclass(slots=True)
class State:
    """The analysis state at one point of a function."""

    carried: dict[str, dict[str, Read]] = field(default_factory=dict)
    """Local name → shared state → the read that its value comes from."""
    asked: dict[str, Read] = field(default_factory=dict)
    """Shared state → the test on whose result this point depends."""
    guards: int = 0

    def awaits(self) -> None:
        """Record an await, at which other tasks may run."""
        for read in self._reads():
            read.stale = read.stale or not read.guarded

    def unguard(self) -> None:
        """Record that a lock is released: reads made under it become stale at the next await."""
        self.guards -= 1
        if not self.guards:
            for read in self._reads():
                read.guarded = False

    def fresh(self, place: str) -> None:
        """Record a new read: earlier reads were compared with it, or are no longer in use."""
        for reads in self.carried.values():
            reads.pop(place, None)

    def join(self, other: State) -> None:
        """Merge another branch: what is stale in one is stale."""
        for name, reads in other.carried.items():
            mine = self.carried.setdefault(name, {})
            for place, read in reads.items():
                if place not in mine or read.stale:
                    mine[place] = read
        for place, read in other.asked.items():
            if place in self.asked and read.stale:
                self.asked[place] = read

    def copy(self) -> State:
        """A copy for a branch."""
        new = {id(read): replace(read) for read in self._reads()}
        carried = {name: {at: new[id(read)] for at, read in reads.items()} for name, reads in self.carried.items()}
        return State(carried, {at: new[id(read)] for at, read in self.asked.items()}, self.guards)

    def _reads(self) -> Iterator[Read]:
        for reads in self.carried.values():
            yield from reads.values()
        yield from self.asked.values()
