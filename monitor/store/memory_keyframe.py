"""The memory figures of a store as a part of a keyframe, so that a recording shows them wherever it is entered.

It has the newest snapshots with the sizes that their sparklines show, the objects, and the newest calls of profiled
functions. Sizes of places that the newest snapshots do not show are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from monitor.protocol import frames, keyframes
from monitor.protocol.rows import SECOND, us
from monitor.store.memory import OBJECTS, PROFILE, SNAPSHOT

if TYPE_CHECKING:
    from monitor.protocol.memory_frames import MemoryReply
    from monitor.store.memory import Memory
    from monitor.store.tables import TableEncoder, Tables


MOST_CALLS = 100
"""Limit of calls of a profiled function: a keyframe comes every ten seconds."""


def encode(memory: Memory, numbers: TableEncoder) -> keyframes.MemoryState | None:
    """Return the part of a keyframe; None if no viewer has asked for memory figures."""
    newest = memory.snapshot
    older = [snapshot for snapshot in memory.snapshots.values() if snapshot is not newest]
    snapshots: list[MemoryReply] = []
    if memory.baseline is not None:
        snapshots.append(SNAPSHOT.encode(memory.baseline, numbers, groups=0, rows=None))
    snapshots += [SNAPSHOT.encode(one, numbers, groups=0) for one in (*older, newest) if one is not None]
    replies = [frames.Reply(id=0, ok=True, memory=snapshot) for snapshot in snapshots]
    if memory.objects is not None:
        replies.append(frames.Reply(id=0, ok=True, objects=OBJECTS.encode(memory.objects, numbers, took=0)))
    if memory.profiles:
        shortened = (replace(profile, recent=profile.recent[-MOST_CALLS:]) for profile in memory.profiles)
        replies.append(frames.Reply(id=0, ok=True, profiles=[PROFILE.encode(one, numbers) for one in shortened]))
    if not replies:
        return None
    sizes = {place: [(us(at), size) for at, size in sizes] for place, sizes in memory.earlier_sizes()}
    return keyframes.MemoryState(replies, [(numbers.stack(place), entries) for place, entries in sizes.items()])


def restore(memory: Memory, state: keyframes.MemoryState, tables: Tables) -> None:
    """Restore the figures from a keyframe: the earlier sizes first, since growth is computed from them."""
    for place, entries in state.sizes:
        memory.restore_sizes(tables.stack(place), ((at * SECOND, size) for at, size in entries))
    for reply in state.replies:
        memory.apply_reply(reply, tables)
