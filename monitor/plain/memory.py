"""`looptop memory` and `looptop profile`: growth between two snapshots, and the measurements of decorated functions."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from monitor import formatting as fmt
from monitor.errors import LooptopError
from monitor.plain.objects import rounded, seconds, site_object
from monitor.plain.snapshot import PATIENCE, replies
from monitor.store.memory_columns import MEMORY, PROFILES
from monitor.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.plain.objects import Object
    from monitor.protocol import frames
    from monitor.store.memory import CallMemoryRow, MemoryRow, MemorySnapshot, Profile, ProfiledCall
    from monitor.transport.connection import Connection

RATE = 4
TICKS = 3
"""Ticks of tracing until both rates are known from which its cost is computed."""

BEFORE = 1.3
"""Seconds to watch the program before tracing, to measure the cost of a step without it."""

MARGIN = 60.0
"""Seconds by which tracing may outlast the requested duration if this viewer hangs."""

NEAR_THE_LIMIT = 0.9
GROUPS = ("lineno", "filename", "traceback")
HIDDEN = ("stdlib", "packages", "probe")


@dataclass(frozen=True, slots=True)
class TracingOptions:
    """What to trace, and what to print of it."""

    duration: float = 10.0
    frames: int = 0  # 0: as many as it takes to reach a line of the user's code
    group: str = "lineno"
    limit: int = 20
    hide: tuple[str, ...] = ("probe",)


@dataclass(frozen=True, slots=True)
class Growth:
    """Two snapshots, and what tracing cost."""

    store: Store
    baseline: MemorySnapshot
    snapshot: MemorySnapshot
    cost: float | None
    notes: tuple[str, ...]

    @property
    def duration(self) -> float:
        """Seconds over which the rows grew."""
        return self.snapshot.at - (self.baseline.at if self.snapshot.against_at is None else self.snapshot.against_at)


class _Requests:
    """Sends requests on one connection and applies the replies to a store."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.store = Store()
        self.store.apply(connection.hello)
        self._number = 0

    def ask(self, op: str, **arguments: object) -> frames.Reply:
        """Send a request and return the last piece of its reply. Raises LooptopError if it is refused."""
        self._number += 1
        self.connection.send({"type": "request", "id": self._number, "op": op, **arguments})
        reply = replies(self.connection, self.store, self._number)
        if not reply.ok:
            raise LooptopError(f"{op.replace('_', ' ')} is refused", reply.error)
        return reply

    def wait(self, length: float) -> None:
        """Receive for that many seconds; returns early when tracing ends or nears its memory limit."""
        until = time.monotonic() + length
        while (left := until - time.monotonic()) > 0:
            for frame in self.connection.receive(min(left, PATIENCE)):
                self.store.apply(frame)
            memory = self.store.memory
            if memory.ended is not None:
                raise LooptopError("tracing has ended", memory.ended.why)
            if memory.tracing is not None and memory.tracing.traced > NEAR_THE_LIMIT * memory.tracing.limit:
                return


def measure(connection: Connection, options: TracingOptions) -> Growth:
    """Trace a program for a while and close the connection. Ctrl-C returns the result so far."""
    if "memory" not in connection.hello.capabilities:
        connection.close()
        raise LooptopError(
            "this probe cannot trace memory", "its setting control is off, or the program is not CPython"
        )
    asker = _Requests(connection)
    store = asker.store
    with closing(connection):  # in any case: tracing stops when the viewer who asked for it leaves
        connection.send({"type": "watch", "rate": RATE, "rows": False, "events": False, "memory": True})
        asker.wait(BEFORE)
        duration = round((options.duration + MARGIN) * 1e6)
        asker.ask("memory_start", frames=options.frames, duration=min(duration, 24 * 3600_000_000))
        asker.ask("memory_baseline")
        interrupted = False
        try:
            asker.wait(options.duration)
            if store.memory.cost() is None:  # so short that the ticks with the cost are still to come
                asker.wait(TICKS / RATE)
        except KeyboardInterrupt:
            interrupted = True
        cost, tracing = store.memory.cost(), store.memory.tracing
        asker.ask("memory_look", group=options.group, limit=options.limit, hide=list(options.hide))
        baseline, look = store.memory.baseline, store.memory.snapshot
        asker.ask("memory_stop")
    if baseline is None or look is None:
        raise LooptopError("the probe sent no figures", "is it of another version?")
    notes = []
    if interrupted:
        notes.append(f"interrupted after {fmt.duration(look.at - baseline.at)}")
    if tracing is not None and tracing.adopted:
        notes.append(f"the program traced already ({fmt.several(tracing.frames, 'frame')}) and keeps tracing")
    if tracing is not None and tracing.traced > NEAR_THE_LIMIT * tracing.limit:
        notes.append(f"stopped early: {fmt.size(tracing.traced)} are traced, the limit is {fmt.size(tracing.limit)}")
    return Growth(store, baseline, look, cost, tuple(notes))


def recorded(store: Store, group: str | None = None, limit: int = 20) -> Growth:
    """As `measure`, from a recording: its newest snapshot up to that time. Raises LooptopError."""
    memory = store.memory
    look = memory.snapshot if group is None else memory.snapshots.get(group)
    if memory.snapshot is not None and look is None:
        raise LooptopError(
            f"no snapshot by {group} in this recording up to then", f"there is --group {memory.snapshot.group}"
        )
    if look is None:
        raise LooptopError(
            "no snapshot of memory in this recording up to then",
            "record with r in the dashboard while its Memory screen traces",
        )
    shown = msgspec.structs.replace(look, rows=look.rows[:limit])
    return Growth(store, memory.baseline or look, shown, memory.cost(), ())


def recorded_growth(path: Path, at: str | float | None, group: str | None = None, limit: int = 20) -> Growth:
    """The newest snapshot of a recording up to a time; if it shows no growth, the last one before it that does.

    A snapshot right after a new baseline shows nothing. Raises LooptopError.
    """
    from monitor.recording.reader import Recording, store_at  # not needed for a running program
    from monitor.recording.replay_frames import walk

    newest = recorded(store_at(path, at), group, limit)
    if any(_has_grown(row) for row in newest.snapshot.rows):
        return newest
    with Recording(path) as recording:
        state, rest = walk(recording, None, recording.end if at is None else recording.moment(at))
        store, found = Store(), None
        for frame in chain(state, rest):
            before = store.memory.snapshot
            store.apply(frame)
            look = store.memory.snapshot
            if look is not None and look is not before and group in (None, look.group):
                found = recorded(store, group, limit) if any(_has_grown(row) for row in look.rows) else found
        if found is None:
            return newest
        when = f"{found.snapshot.at - recording.start * 1e-6:.0f} s after the start"
    return replace(found, notes=(f"nothing had grown at the newest look: this is the look {when}",))


def _has_grown(row: MemoryRow) -> bool:
    return row.size_diff > 0


def growth_object(growth: Growth) -> Object:
    """The object that `looptop memory --json` prints."""
    baseline, look = growth.baseline, growth.snapshot
    return {
        "duration": seconds(growth.duration),
        "tracing_cost": rounded(growth.cost),
        "rss": {"before": baseline.rss, "after": look.rss},
        "traced": {"before": baseline.traced, "after": look.traced},
        "diff": [row_object(row, look.group) for row in look.rows],
    }


def row_object(row: MemoryRow | CallMemoryRow, group: str) -> Object:
    """A line, file or traceback that grew. What tracemalloc does not record (the function) is null."""
    lines = []
    for site in row.place:
        line = site_object(site) or {}
        lines.append({**line, "line": site.line or None, "function": site.function or None})
    where = {"traceback": lines} if group == "traceback" else {"site": lines[-1] if lines else None}
    return {
        **where,
        "size": row.size,
        "size_diff": row.size_diff,
        "count": row.count,
        "count_diff": row.count_diff,
    }


def growth_lines(growth: Growth, width: int, colour: bool) -> list[str]:
    """The lines that `looptop memory` prints."""
    from monitor.plain.tables import of_columns, table  # imports Rich, which JSON does not need

    baseline, look, store = growth.baseline, growth.snapshot, growth.store
    cost = "–" if growth.cost is None else f"{growth.cost:.1f}×"
    kept = fmt.several(look.frames, "frame")
    lines = [
        f"traced for {fmt.duration(look.at - baseline.at)}, {kept} a block; steps took {cost} as long",
        f"rss {fmt.size(baseline.rss)} → {fmt.size(look.rss)}  "
        f"traced {fmt.size(baseline.traced)} → {fmt.size(look.traced)} in {fmt.count(look.blocks)} blocks  "
        f"longest pause {fmt.duration(max(look.pause, baseline.pause))}",
        *([f"compared with the look {fmt.duration(growth.duration)} before"] if look.against == "last" else []),
        "",
    ]
    if not look.rows:
        return [*lines, "nothing was allocated that is still there"]
    rows = [row for row in look.rows if row.size_diff or row.count_diff]
    lines += table(rows, of_columns(MEMORY, store), width, colour) if rows else ["nothing has grown or shrunk"]
    if look.group == "traceback":
        for number, row in enumerate(rows, 1):
            lines += ["", f"{number}. {_signed(row.size_diff)} in {row.count_diff:+d} blocks"]
            lines += [
                fmt.clean(f"     {site.file}:{site.line}" if site.line else f"     {site.file}") for site in row.place
            ]
    if look.found > len(look.rows):
        lines += ["", f"{look.found - len(look.rows)} more"]
    if look.others[2] or look.others[3]:
        lines.append(f"too small to be kept one by one: {_signed(look.others[1])}")
    return lines


def _signed(size: int) -> str:
    return f"+{fmt.size(size)}" if size > 0 else fmt.size(size)


def profiles(connection: Connection, calls: int) -> Store:
    """Fetch the measurements of decorated functions, and close the connection."""
    if "profile" not in connection.hello.capabilities:
        connection.close()
        raise LooptopError("this probe knows no profiles", "is it of an older version?")
    asker = _Requests(connection)
    with closing(connection):
        asker.ask("profile", calls=calls)
    return asker.store


def profiles_object(store: Store) -> Object:
    """The object that `looptop profile --json` prints."""
    return {"functions": [profile_object(profile) for profile in store.memory.profiles]}


def profile_object(profile: Profile) -> Object:
    """A decorated function with its newest calls, oldest first."""
    return {
        "function": profile.function,
        "module": profile.module,
        "site": site_object(profile.site),
        "shape": profile.shape,
        "kind": profile.kind,
        "key_type": profile.key_type,
        "cumulative": profile.cumulative,
        "running": profile.running,
        "calls": profile.calls,
        "failed": profile.failed,
        "cancelled": profile.cancelled,
        "steps": profile.steps,
        "elapsed": seconds(profile.elapsed),
        "longest": seconds(profile.longest),
        "busy": seconds(profile.busy),
        "size_diff": profile.size_diff,
        "kept": profile.kept,
        "recent": [_call_object(call, profile.key_type) for call in profile.recent],
    }


def _call_object(call: ProfiledCall, key_type: str | None) -> Object:
    facts: Object = {
        "time": seconds(call.at),
        "elapsed": seconds(call.elapsed),
        "busy": seconds(call.busy),
        "steps": call.steps,
        "size_diff": call.size_diff,
        "outcome": call.outcome,
    }
    if key_type is not None:
        facts["diff"] = [row_object(row, "lineno") for row in call.rows]
    return facts


def profiles_lines(store: Store, width: int, colour: bool) -> list[str]:
    """The lines that `looptop profile` prints."""
    from monitor.plain.tables import of_columns, table  # imports Rich, which JSON does not need

    found = store.memory.profiles
    if not found:
        return ["no function is profiled: decorate one with @probes.profile_time or @probes.profile_memory"]
    return table(found, of_columns(PROFILES, store), width, colour)
