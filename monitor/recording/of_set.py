"""A recorded set: a folder with a recording of each process, named after the worker that it was."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from monitor.errors import UsageError
from monitor.recording.metadata import MOST_FILES, about
from monitor.recording.time_parsing import parse_time

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".looptop-set"
"""Of the folders that `looptop record` names itself."""
GONE_AFTER = 3.0
"""Seconds after the end of its recording in which a process still counts as there."""
_NAME = re.compile(r"worker-(\d{1,6})(?:-.*)?\.looptop(?:\.d)?")


@dataclass(frozen=True, slots=True)
class Part:
    """The recording of one process. Times are Unix time."""

    worker: int
    pid: int | None
    path: Path
    start: float
    end: float
    program: str = ""
    size: int = 0

    @property
    def target(self) -> str:
        """The file, as a TARGET."""
        return str(self.path)


@dataclass(frozen=True, slots=True)
class RecordedSet:
    """The recordings of a set, by worker and start."""

    path: Path
    parts: tuple[Part, ...]

    @property
    def start(self) -> float:
        """When the first one begins."""
        return min(part.start for part in self.parts)

    @property
    def end(self) -> float:
        """When the last one ends."""
        return max(part.end for part in self.parts)

    @property
    def program(self) -> str:
        """The program that the first of them ran."""
        return self.parts[0].program

    def moment(self, text: str) -> float:
        """Parse the time of `--at T`, of the whole set, as Unix time. Raises UsageError."""
        return self.start + parse_time(text, self.start, self.end - self.start)

    def at(self, moment: float | None) -> list[Part]:
        """The process in each slot at a time; at the end, the last process of each slot."""
        found: dict[int, Part] = {}
        for part in self.parts:
            if moment is None or part.start <= moment <= part.end + GONE_AFTER:
                found[part.worker] = part
        return list(found.values())


def file_name(worker: int, pid: int | None) -> str:
    """The name of the recording of one process."""
    return f"worker-{worker}.looptop" if pid is None else f"worker-{worker}-{pid}.looptop"


def free_name(folder: Path, worker: int, pid: int | None) -> Path:
    """The file for another recording of a worker."""
    path = folder / file_name(worker, pid)
    number = 1
    while path.exists():
        number += 1
        path = folder / file_name(worker, pid).replace(".looptop", f"-{number}.looptop")
    return path


def is_recorded_set(path: Path) -> bool:
    """Whether a folder holds the recordings of a set."""
    try:
        return path.is_dir() and any(_NAME.fullmatch(file.name) for file in path.iterdir())
    except OSError:
        return False


def open_set(path: Path) -> RecordedSet:
    """The recordings of a folder. Raises UsageError if none can be read."""
    parts = []
    for file in path.iterdir():
        name = _NAME.fullmatch(file.name)
        known = about(file) if name else None
        if name and known is not None and known.start is not None and known.duration is not None:
            program = known.program or known.name
            end = known.start + known.duration
            parts.append(Part(int(name[1]), known.pid, file, known.start, end, program, known.size))
    if not parts:
        raise UsageError(f"{path} has no recording that can be read", "looptop record TARGET... makes them")
    return RecordedSet(path, tuple(sorted(parts, key=lambda part: (part.worker, part.start))))


def sets_in(folder: Path) -> list[RecordedSet]:
    """The recorded sets of a folder that can be read."""
    found = []
    try:
        paths = [path for _, path in zip(range(MOST_FILES), folder.iterdir(), strict=False)]
    except OSError:
        return []
    for path in paths:
        if is_recorded_set(path):
            with suppress(UsageError, OSError):
                found.append(open_set(path))
    return found
