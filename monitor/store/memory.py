"""The store's memory figures: tracing and its cost, lines that grow, live objects, profiled functions."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from monitor.protocol import frames, memory_frames
from monitor.protocol.memory_frames import ObjectsRow
from monitor.protocol.rows import SECOND, seconds_or_none
from monitor.store.codec import Codec
from monitor.store.model import Site

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from monitor.store.tables import Tables

MOST_SIZES = 60
"""Number of snapshots for which the size of each site is remembered."""

MOST_SITES = 2000
"""Limit of sites with remembered growth; those not seen for the longest time go first."""

GROWTH_OVER = 60.0
"""Seconds over which growth per minute is computed, once that much time has passed."""

MOST_PROFILES = 2000
"""Limit of decorated functions in one reply. A probe has at most 500."""

GROUPS = ("lineno", "filename", "traceback")

Place = tuple[Site, ...]
"""Where memory was allocated: one line, or the whole traceback, outermost first."""


class MemoryRow(msgspec.Struct, frozen=True):
    """A line, file or traceback, as in `tracemalloc.StatisticDiff`."""

    place: Place
    size: int
    size_diff: int
    count: int
    count_diff: int
    growth: float | None = None  # bytes per minute

    @property
    def site(self) -> Site | None:
        """The line that allocated the memory."""
        return self.place[-1] if self.place else None


class MemorySnapshot(msgspec.Struct, frozen=True):
    """One snapshot of traced memory."""

    at: float
    blocks: int
    pause: float  # seconds for which taking it held the program
    took: float
    traced: int
    peak: int
    overhead: int
    rss: int | None
    against: str
    against_at: float | None
    group: str
    frames: int
    found: int
    rows: tuple[MemoryRow, ...]
    total: tuple[int, int, int, int]
    hidden: tuple[int, int, int, int]
    others: tuple[int, int, int, int]


class Objects(msgspec.Struct, frozen=True):
    """Live objects by type, at one moment."""

    at: float
    against_at: float | None
    objects: int
    types: int
    pause: float
    rows: tuple[ObjectsRow, ...]


class CallMemoryRow(msgspec.Struct, frozen=True):
    """What one call of a profiled function allocated at one line and still held at its end."""

    site: Site | None
    size: int
    size_diff: int
    count: int
    count_diff: int

    @property
    def place(self) -> Place:
        """The line as a traceback of one line; empty if it is unknown."""
        return () if self.site is None else (self.site,)


class ProfiledCall(msgspec.Struct, frozen=True):
    """One call of a decorated function."""

    at: float
    elapsed: float
    busy: float
    steps: int
    size_diff: int | None
    outcome: str
    rows: tuple[CallMemoryRow, ...]


class Profile(msgspec.Struct, frozen=True):
    """A decorated function, its totals and its newest calls."""

    function: str
    module: str
    site: Site | None
    shape: str
    kind: str  # time or memory
    key_type: str | None
    cumulative: bool
    running: int
    calls: int
    failed: int
    cancelled: int
    steps: int
    elapsed: float
    longest: float
    busy: float
    size_diff: int | None
    kept: int
    recent: tuple[ProfiledCall, ...]


ROW = Codec(MemoryRow, memory_frames.MemoryRow)
SNAPSHOT = Codec(MemorySnapshot, memory_frames.MemoryReply)
OBJECTS = Codec(Objects, memory_frames.ObjectsReply)
PROFILE = Codec(Profile, memory_frames.Profile)


class Memory(msgspec.Struct):
    """Memory figures of a program. `revision` grows with every change."""

    tracing: memory_frames.Tracing | None = None
    ended: memory_frames.TracingEnd | None = None
    usage: memory_frames.Usage | None = None
    collector: memory_frames.Collector | None = None
    baseline: MemorySnapshot | None = None
    snapshot: MemorySnapshot | None = None
    snapshots: dict[str, MemorySnapshot] = msgspec.field(default_factory=dict)  # the newest snapshot by `group`
    objects: Objects | None = None
    profiles: tuple[Profile, ...] = ()
    revision: int = 0
    _sizes: dict[Place, deque[tuple[float, int]]] = msgspec.field(default_factory=dict)
    _pieces: list[Profile] = msgspec.field(default_factory=list)

    def apply_tick(self, tick: memory_frames.MemoryTick) -> None:
        """Apply the memory part of a tick."""
        if not isinstance(tick.tracing, msgspec.UnsetType):
            if tick.tracing is not None and (self.tracing is None or self.tracing.since != tick.tracing.since):
                self._begin()
            self.tracing = tick.tracing
            self.ended = tick.ended
        self.usage = tick.usage or self.usage
        self.collector = tick.collector or self.collector
        self.revision += 1

    def _begin(self) -> None:
        """Start over with a new tracing: earlier snapshots cannot be compared with it."""
        self.baseline = self.snapshot = None
        self.snapshots.clear()
        self._sizes.clear()

    def as_tick(self) -> memory_frames.MemoryTick | None:
        """Return the memory part of a tick for a new reader, or None."""
        if not (self.tracing or self.ended or self.usage or self.collector):
            return None
        tracing = self.tracing if self.tracing or self.ended else msgspec.UNSET
        return memory_frames.MemoryTick(tracing, self.ended, self.usage, self.collector)

    def frozen(self) -> Memory:
        """Return an independent copy."""
        sizes = {place: sizes.copy() for place, sizes in self._sizes.items()}
        return replace(self, snapshots=dict(self.snapshots), _sizes=sizes, _pieces=list(self._pieces))

    def apply_reply(self, reply: frames.Reply, tables: Tables) -> None:
        """Apply what a reply has of memory. Profiles come in pieces, and are shown when they are complete."""
        if reply.tracing is not None:
            self.apply_tick(memory_frames.MemoryTick(reply.tracing))
        if reply.memory is not None:
            self._apply_snapshot(reply.memory, tables)
        if reply.objects is not None:
            self.objects = OBJECTS.decode(reply.objects, tables)
            self.revision += 1
        if reply.profiles is not None:
            room = MOST_PROFILES - len(self._pieces)
            self._pieces += [PROFILE.decode(profile, tables) for profile in reply.profiles[:room]]
            if not reply.more:
                self.profiles, self._pieces = tuple(self._pieces), []
                self.revision += 1

    def _apply_snapshot(self, found: memory_frames.MemoryReply, tables: Tables) -> None:
        at, against_at = found.at * SECOND, seconds_or_none(found.against_at)
        grown = []
        for row in found.rows or ():
            place = tables.stack(row.place)
            growth = self._growth(place, at, row.size, against_at, row.size_diff)
            grown.append(ROW.decode(row, tables, place=place, growth=growth))
        snapshot = SNAPSHOT.decode(found, tables, rows=tuple(grown))
        if found.rows is None:
            self.baseline = snapshot
        else:
            self.snapshot = snapshot
            if found.group in GROUPS:
                self.snapshots[found.group] = snapshot
        self.revision += 1

    def _growth(self, place: Place, at: float, size: int, against_at: float | None, size_diff: int) -> float | None:
        """Compute growth in bytes per minute from earlier snapshots, else from the difference in the row."""
        sizes = self._sizes.pop(place, None)
        if sizes is None:
            sizes = deque(maxlen=MOST_SIZES)
            while len(self._sizes) >= MOST_SITES:
                del self._sizes[next(iter(self._sizes))]
            if against_at is not None and against_at < at:
                sizes.append((against_at, size - size_diff))
        self._sizes[place] = sizes
        sizes.append((at, size))
        first = next(entry for entry in sizes if at - entry[0] <= GROWTH_OVER or entry is sizes[-1])
        if first[0] >= at:
            first = sizes[0]
        return (size - first[1]) / (at - first[0]) * 60 if at > first[0] else None

    def sizes(self, place: Place) -> list[float]:
        """Return the sizes of a place in the snapshots so far, for a sparkline."""
        return [float(size) for _, size in self._sizes.get(place, ())]

    def earlier_sizes(self) -> Iterator[tuple[Place, list[tuple[float, int]]]]:
        """Yield the sizes (Unix time, bytes) of each place in the newest snapshots, from before its snapshot."""
        for snapshot in self.snapshots.values():
            for row in snapshot.rows:
                yield row.place, [(at, size) for at, size in self._sizes.get(row.place, ()) if at < snapshot.at]

    def restore_sizes(self, place: Place, sizes: Iterable[tuple[float, int]]) -> None:
        """Replace the sizes of a place."""
        self._sizes[place] = deque(sizes, maxlen=MOST_SIZES)

    def cost(self) -> float | None:
        """How many times slower steps are while tracing: busy time per step, during divided by before."""
        if self.tracing is None:
            return None
        before, during = self.tracing.before.busy, self.tracing.during.busy
        return during / before if before and during is not None else None
