"""What is known of memory as a part of a keyframe, and back: so that a recording shows it wherever it is entered.

Carried are the newest looks with the sizes that their sparklines are of, the objects, and the newest calls of profiled
functions. Sizes of places that the newest looks do not show are not.
"""
# ruff: noqa: SLF001 - this is the store's own business, in a file of its own

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from monitor.protocol import frames, keyframes, memory_frames, rows
from monitor.protocol.rows import SECOND, us, us_or_none
from monitor.store.memory import LOOKS, Memory, MemorySnapshot, Objects, Profile, ProfiledCall

if TYPE_CHECKING:
    from monitor.store.tables import TableEncoder, Tables


MOST_CALLS = 100
"""Of a profiled function, the newest: a keyframe comes every ten seconds."""


def encode(memory: Memory, numbers: TableEncoder) -> keyframes.MemoryState | None:
    """The part of a keyframe; None where nobody looked."""
    newest = memory.snapshot
    looks = [look for look in memory.snapshots.values() if look is not newest]
    told = [_look(look, _rows(look, numbers)) for look in (*looks, newest) if look is not None]
    if memory.baseline is not None:
        told.insert(0, _look(memory.baseline, None))
    replies = [frames.Reply(id=0, ok=True, memory=look) for look in told]
    if memory.objects is not None:
        replies.append(frames.Reply(id=0, ok=True, objects=_objects(memory.objects)))
    if memory.profiles:
        found = [_profile(profile, numbers) for profile in memory.profiles]
        replies.append(frames.Reply(id=0, ok=True, profiles=found))
    if not replies:
        return None
    sizes = {
        row.place: [(us(at), size) for at, size in memory._sizes.get(row.place, ()) if at < look.at]
        for look in memory.snapshots.values()
        for row in look.rows
    }
    return keyframes.MemoryState(replies, [(numbers.stack(place), entries) for place, entries in sizes.items()])


def restore(memory: Memory, state: keyframes.MemoryState, tables: Tables) -> None:
    """Tells it what it was told, after the sizes of before."""
    for place, entries in state.sizes:
        memory._sizes[tables.stack(place)] = deque(((at * SECOND, size) for at, size in entries), maxlen=LOOKS)
    for reply in state.replies:
        memory.apply_reply(reply, tables)


def _rows(look: MemorySnapshot, numbers: TableEncoder) -> list[rows.MemoryRow]:
    return [
        rows.MemoryRow(numbers.stack(row.place), row.size, row.size_diff, row.count, row.count_diff)
        for row in look.rows
    ]


def _look(look: MemorySnapshot, placed: list[rows.MemoryRow] | None) -> memory_frames.MemoryReply:
    """A baseline has no rows."""
    return memory_frames.MemoryReply(
        at=us(look.at),
        blocks=look.blocks,
        groups=0,
        pause=us(look.pause),
        took=us(look.took),
        traced=look.traced,
        peak=look.peak,
        overhead=look.overhead,
        rss=look.rss,
        against=look.against,
        against_at=us_or_none(look.against_at),
        group=look.group,
        frames=look.frames,
        rows=placed,
        found=look.found,
        total=look.total,
        hidden=look.hidden,
        others=look.others,
    )


def _objects(objects: Objects) -> memory_frames.ObjectsReply:
    return memory_frames.ObjectsReply(
        at=us(objects.at),
        against_at=us_or_none(objects.against_at),
        objects=objects.objects,
        types=objects.types,
        pause=us(objects.pause),
        took=0,
        rows=list(objects.rows),
    )


def _profile(profile: Profile, numbers: TableEncoder) -> memory_frames.Profile:
    return memory_frames.Profile(
        function=profile.function,
        module=profile.module,
        site=numbers.site(profile.site),
        shape=profile.shape,
        kind=profile.kind,
        key_type=profile.key_type,
        cumulative=profile.cumulative,
        running=profile.running,
        calls=profile.calls,
        failed=profile.failed,
        cancelled=profile.cancelled,
        steps=profile.steps,
        elapsed=us(profile.elapsed),
        longest=us(profile.longest),
        busy=us(profile.busy),
        size_diff=profile.size_diff,
        kept=profile.kept,
        recent=[_call(call, numbers) for call in profile.recent[-MOST_CALLS:]],
    )


def _call(call: ProfiledCall, numbers: TableEncoder) -> rows.CallRow:
    lines = [
        rows.CallMemoryRow(numbers.site(row.site), row.size, row.size_diff, row.count, row.count_diff)
        for row in call.rows
        if row.place
    ]
    at, elapsed, busy = us(call.at), us(call.elapsed), us(call.busy)
    return rows.CallRow(at, elapsed, busy, call.steps, call.size_diff, call.outcome, lines)
