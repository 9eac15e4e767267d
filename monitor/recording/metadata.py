"""Reads the facts of recordings: program, start, duration, complete or cut.

Decompresses only the index of a finished file, so a folder is listed quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from monitor.errors import LooptopError
from monitor.recording import file_format as file_format
from monitor.recording.file_format import Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BLOCKS = 20_000
"""Limit of blocks read from a cut file: more than two days of them."""

MOST_FILES = 1000
"""Limit of files read from a folder."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Facts of one recording. Times are Unix time, sizes bytes."""

    path: Path
    size: int
    program: str = ""
    name: str = ""
    pid: int | None = None
    host: str = ""
    python: str = ""
    start: float | None = None
    duration: float | None = None  # seconds
    whole: bool = False  # finished; else readable up to its last complete block
    dropped: int = 0  # missing ticks
    problem: str = ""  # why it cannot be read; then only `path` and `size` are known


def about(path: str | Path) -> Metadata | None:
    """Return the facts of a file, or None if it is not a recording or cannot be opened. Never raises."""
    path = Path(path)
    try:
        if path.is_dir():
            return _of_folder(path)
        if not path.is_file():
            return None
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(len(file_format.MAGIC)) != file_format.MAGIC:
                return None
            file.seek(0)
            return _of_file(path, file, size)
    except OSError:
        return None


def in_folder(folder: str | Path) -> list[Metadata]:
    """Return the recordings of a folder, newest first."""
    try:
        paths = [path for _, path in zip(range(MOST_FILES), Path(folder).iterdir(), strict=False)]
    except OSError:
        return []
    found = [known for path in paths if (known := about(path)) is not None]
    return sorted(found, key=lambda known: (-(known.start or 0.0), known.path.name))


def _of_file(path: Path, file: BinaryIO, size: int) -> Metadata:
    try:
        facts = file_format.read_heading(file, path)
    except LooptopError as error:
        return Metadata(path, size, problem=f"{error.message.removeprefix(f'{path} ')}: {error.hint}")
    begin = file.tell()
    index = file_format.read_index(file, size)
    if index is not None:
        summaries = [place.summary for place in index.places]
        return _made(path, size, facts, summaries, whole=True, dropped=index.dropped)
    summaries = list(_summaries(file, begin, size))
    return _made(path, size, facts, summaries, whole=False, dropped=sum(one.dropped for one in summaries))


def _of_folder(path: Path) -> Metadata | None:
    """Return the facts of a flight recorder's folder, running or killed."""
    segments = [found for segment in sorted(path.glob("*.segment")) if (found := about(segment)) is not None]
    known = [segment for segment in segments if segment.start is not None and segment.duration is not None]
    if not known:
        return None
    first, last = known[0], known[-1]
    assert first.start is not None and last.start is not None and last.duration is not None
    return Metadata(
        path,
        sum(segment.size for segment in segments),
        first.program,
        first.name,
        first.pid,
        first.host,
        first.python,
        first.start,
        max(last.start + last.duration - first.start, 0.0),
        whole=False,
        dropped=sum(segment.dropped for segment in known),
    )


def _summaries(file: BinaryIO, offset: int, size: int) -> Iterator[Summary]:
    for _ in range(MOST_BLOCKS):
        place = file_format.read_place(file, offset, size)
        if place is None:
            return
        yield place.summary
        offset += place.size


def _made(
    path: Path, size: int, facts: dict[str, Any], summaries: list[Summary], *, whole: bool, dropped: int
) -> Metadata:
    if not summaries:
        return Metadata(path, size, problem="it was cut before its first block was complete")

    def text(key: str) -> str:
        found = facts.get(key)
        return found if isinstance(found, str) else ""

    pid = facts.get("pid")
    start, end = summaries[0].start, summaries[-1].end
    return Metadata(
        path,
        size,
        program=text("program"),
        name=text("name"),
        pid=pid if isinstance(pid, int) else None,
        host=text("host"),
        python=text("python"),
        start=start * 1e-6,
        duration=max(end - start, 0) * 1e-6,
        whole=whole,
        dropped=dropped,
    )
