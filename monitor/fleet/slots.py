"""Remembers the slots of a set's processes in the runtime directory, so that all commands count alike.

Without a file they are counted in the order in which they were started. A file is written by who has seen that a
process took the place of another one.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from monitor.attach.find import own_directory
from monitor.attach.processes import stat_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LARGEST = 1 << 20
"""Bytes of the largest file that is read."""
LONGEST = 80
"""Characters of the TARGET in the name of a file."""
KEPT = 7 * 86_400.0
"""Seconds after which a file that has not changed is removed."""
_OF_PARENT = re.compile(r"workers-(?P<identity>(?P<pid>[0-9]+)-[0-9]+)\.json")


class _Facts(NamedTuple):
    parent: int
    identity: str  # pid and start time


class Slots:
    """The remembered slots of one TARGET."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._identities: dict[str, str] = {}  # by TARGET of a process, once it is known
        self._saved: dict[str, int] | None = None

    def remembered(self, processes: Sequence[str]) -> dict[str, int]:
        """Return the slots of those processes that somebody has noted, each a pid. No two have the same."""
        path = self._path(processes)
        try:
            if path is None or path.stat().st_size > LARGEST:
                return {}
            noted = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(noted, dict):
            return {}
        self._saved = noted
        found: dict[str, int] = {}
        for process in processes:
            slot = noted.get(self._identities.get(process, ""))
            if isinstance(slot, int) and 0 <= slot < 1 << 20 and slot not in found.values():
                found[process] = slot
        return found

    def note(self, slots: dict[str, int]) -> None:
        """Note the slots of processes, oldest first, unless that is what anybody would count without a file."""
        if self._saved is None and list(slots.values()) == list(range(len(slots))):
            return
        path = self._path(list(slots))
        noted = {self._identities[one]: slot for one, slot in slots.items() if one in self._identities}
        if path is None or noted == self._saved:
            return
        self._saved = noted
        with suppress(OSError):
            made = path.with_suffix(f".{os.getpid()}")
            made.touch(mode=0o600)
            made.write_text(json.dumps(noted))
            made.replace(path)

    def _path(self, processes: Sequence[str]) -> Path | None:
        """The file of this set: the same for a parent's pid and the name that its workers share."""
        parents = set()
        for process in processes:
            facts = _facts(process)
            if facts is None:
                return None
            self._identities[process] = facts.identity
            parents.add(facts.parent)
        directory = own_directory()
        if directory is not None:
            _tidy(directory)
        if directory is None or not parents:
            return None
        parent = _facts(str(parents.pop())) if len(parents) == 1 and 1 not in parents else None
        key = parent.identity if parent is not None else re.sub(r"\W", "_", self._target)[:LONGEST]
        return directory / f"workers-{key}.json"


def _tidy(directory: Path) -> None:
    """Remove the files of parents that have gone, and those that have not changed for long."""
    with suppress(OSError):
        for path in directory.glob("workers-*"):
            parent = _OF_PARENT.fullmatch(path.name)
            facts = _facts(parent["pid"]) if parent is not None else None
            gone = parent is not None and (facts is None or facts.identity != parent["identity"])
            with suppress(FileNotFoundError):  # another command was faster
                if gone or time.time() - path.stat().st_mtime > KEPT:
                    path.unlink()


def _facts(process: str) -> _Facts | None:
    """Parent and identity of a pid on this machine; None for anything else, and where that cannot be read."""
    if not (process.isascii() and process.isdigit()):
        return None
    try:
        fields = stat_of(process)
        return _Facts(int(fields[1]), f"{process}-{fields[19]}")
    except (OSError, IndexError, ValueError):
        return None
