"""Encodes frames as lines, preceded by the strings, sites and facts that they refer to and that this viewer lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base import protocol
from ..base.turns import turns
from ..hooks import loops

if TYPE_CHECKING:
    from ..base.sites import Tables

PIECE = 250
"""Most tasks, or strings, in one frame."""


class Encoder:
    """Remembers which strings and sites one viewer has received, since each is sent once."""

    def __init__(self, tables: Tables, all_loops: loops.Loops) -> None:
        self._tables = tables
        self._loops = all_loops
        self._loops_told: set[tuple[Any, ...]] = set()
        self._strings_told = 0
        self._sites_told = 0

    def lines(self, frames: list[dict[str, Any]]) -> bytes:
        """Encodes frames; the task facts in their `static` are sent first."""
        out = []
        facts = []
        for frame in frames:
            facts += frame.pop("static", ())
        static: dict[str, Any] = {"type": "static"}
        loop_facts = {tuple(loops.static_of(record)) for _, record in self._loops.all()}
        new_loops = sorted(loop_facts - self._loops_told)
        self._loops_told = loop_facts
        if new_loops:
            static["loops"] = new_loops
        # Rows are complete at this point, so all they refer to is in the tables.
        new = len(self._tables.strings) > self._strings_told or len(self._tables.sites) > self._sites_told
        if new or facts or new_loops:
            out += self._static(static, facts)
        for frame in frames:
            turns.give()  # the program must not wait for a whole tick of very many tasks
            out.append(protocol.encode(frame))
        return b"".join(out)

    def _static(self, static: dict[str, Any], facts: list[Any]) -> list[bytes]:
        tables = self._tables
        out = []
        turns.give()
        while len(tables.strings) > self._strings_told:
            items = tables.strings[self._strings_told : self._strings_told + PIECE]
            out.append(protocol.encode({"type": "static", "strings": {"from": self._strings_told, "items": items}}))
            self._strings_told += len(items)
        while len(tables.sites) > self._sites_told:
            sites = tables.sites[self._sites_told : self._sites_told + 10 * PIECE]
            out.append(protocol.encode({"type": "static", "sites": {"from": self._sites_told, "items": sites}}))
            self._sites_told += len(sites)
        out.append(protocol.encode({**static, "tasks": facts[:PIECE]}))
        out += [
            protocol.encode({"type": "static", "tasks": facts[start : start + PIECE]})
            for start in range(PIECE, len(facts), PIECE)
        ]
        return out
