"""Removes old black boxes of dead programs: keeps the last of each name for a week, up to a total size."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from itertools import islice

from ..base import protocol

OF_A_NAME = 5
LONGEST = 7 * 86_400
LARGEST = 100 << 20
MOST_LOOKED_AT = 1000
MOST_FILES = 20_000
"""Files passed over on the way: each running program has two more in the folder."""


def remove(directory: str, now: float) -> None:
    """Removes boxes that are too old, too many of one name, or too large in total; oldest first."""
    found = []
    with suppress(OSError), os.scandir(directory) as entries:
        named = ((entry, protocol.name_of_box(entry.name)) for entry in islice(entries, MOST_FILES))
        boxes = ((entry, name) for entry, name in named if name is not None)
        for entry, name in islice(boxes, MOST_LOOKED_AT):
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(facts.st_mode) and facts.st_uid == os.getuid():
                found.append((facts.st_mtime, name, entry.path, facts.st_blocks * 512))
    found.sort(reverse=True)
    counts: dict[str, int] = {}
    total = 0
    for changed, name, path, size in found:
        if _in_use(path):
            continue
        counts[name] = counts.get(name, 0) + 1
        total += size
        # The starting program may leave one as well.
        if counts[name] >= OF_A_NAME or now - changed > LONGEST or total > LARGEST:
            with suppress(OSError):
                os.unlink(path)


def _in_use(path: str) -> bool:
    try:
        import fcntl

        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except (ImportError, OSError):
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
