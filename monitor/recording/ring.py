"""The flight recorder: the last minutes of a program on disk, in a folder that does not grow.

FILE.d holds segments, each a complete recording of a tenth of the time; the oldest are removed. Nothing is overwritten
in place, so the segments are readable at any moment, also after the recorder was killed. A trigger joins them to
FILE-<time>, a normal recording; the end of the recording joins them to FILE.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from typing import TYPE_CHECKING

from monitor.errors import LooptopError, UsageError
from monitor.recording import file_format as file_format
from monitor.recording.writer import File

if TYPE_CHECKING:
    from pathlib import Path

    from monitor.recording.blocks import Block

SEGMENTS = 10
LEAST = 10.0
"""Segments per ring, and the shortest segment in seconds."""

MOST_BYTES = 1 << 30
"""Limit of a ring in bytes. If the last minutes of a large program do not fit, fewer are kept."""

MOST_FILES = 20
"""Limit of files per run: a trigger that fires all the time must not fill the disk."""


def folder_of(path: Path) -> Path:
    """Return the folder with the segments of a flight recorder."""
    return path.with_name(path.name + ".d")


class Ring:
    """A sink that keeps the last seconds and writes them to a file on request."""

    def __init__(self, path: Path, seconds: float, *, rate: float | None = None, most_bytes: int = MOST_BYTES) -> None:
        """Create the folder. Raises UsageError if it cannot be written to."""
        if path.exists():
            raise UsageError(f"{path} exists", "name another file, or remove it")
        self.path = path
        self.directory = folder_of(path)
        self.seconds = seconds
        self.written = 0
        self.finished: list[tuple[Path, str]] = []  # files and their reasons
        self.unfinished = 0  # files not written because of the limit
        self._rate = rate
        self._most_bytes = most_bytes
        self._current: File | None = None
        self._closed: list[tuple[Path, int, int]] = []  # segment, start, bytes
        self._number = 0
        try:
            self._make_directory(path)
        except OSError as error:
            raise UsageError(f"{self.directory} cannot be made", error.strerror or str(error)) from None

    def _make_directory(self, path: Path) -> None:
        if os.path.lexists(self.directory):
            found = self.directory.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise UsageError(
                    f"{self.directory} exists and others may write to it", "remove it, or name another file"
                )
            if not any(self.directory.iterdir()):
                return
            # Left by a run that was killed, and perhaps still needed: keep one such folder.
            old = path.with_name(path.name + ".d.old")
            shutil.rmtree(old, ignore_errors=True)
            self.directory.rename(old)
        self.directory.mkdir(mode=0o700)

    @property
    def segment(self) -> float:
        """Length of a segment in seconds."""
        return max(self.seconds / SEGMENTS, LEAST)

    def write(self, block: Block) -> None:
        """Append a block; begin a new segment if the block is marked so."""
        if block.begins_segment or self._current is None or self._current.written > self._most_bytes / SEGMENTS:
            self._roll()
        assert self._current is not None
        before = self._current.written
        self._current.write(block)
        self.written += self._current.written - before
        self._prune(block.end)
        if block.finish is None:
            return
        if len(self.finished) < MOST_FILES:
            self.finished.append((self._join(self._free_name(), block.finish), block.finish))
        else:
            self.unfinished += 1

    def finish(self, reason: str) -> None:
        """Join all segments to the file that the user named."""
        if self._current is not None:
            self._current.finish(reason)
            self._join(self.path, reason)
        shutil.rmtree(self.directory, ignore_errors=True)

    def fail(self) -> None:
        """Keep the segments as they are."""
        if self._current is not None:
            self._current.fail()

    def _roll(self) -> None:
        if self._current is not None:
            self._current.finish("the next segment")
            self._closed.append((self._current.path, self._current.start or 0, self._current.written))
        self._number += 1
        self._current = File(self.directory / f"{self._number:08d}.segment", rate=self._rate)

    def _prune(self, now: int) -> None:
        """Remove the oldest segments while the others cover the whole time, or while all together are too large."""
        assert self._current is not None
        starts = [start for _, start, _ in self._closed[1:]] + [self._current.start or now]
        while self._closed:
            size = sum(length for _, _, length in self._closed) + self._current.written
            if (now - starts[0]) * 1e-6 < self.seconds and size <= self._most_bytes:
                return
            path, _, _ = self._closed.pop(0)
            starts.pop(0)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def _join(self, path: Path, reason: str) -> Path:
        """Join all blocks to one recording. Raises OSError or LooptopError."""
        joined = File(path)
        try:
            current = [] if self._current is None else [self._current.path]
            for segment in [*(path for path, _, _ in self._closed), *current]:
                _copy(segment, joined)
            joined.finish(reason)
        except (OSError, LooptopError):
            joined.fail()
            raise
        return path

    def _free_name(self) -> Path:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        stem, suffix = (self.path.stem, self.path.suffix) if self.path.suffix else (self.path.name, "")
        for number in range(1000):
            more = f"-{number}" if number else ""
            path = self.path.with_name(f"{stem}-{stamp}{more}{suffix}")
            if not os.path.lexists(path):
                return path
        raise LooptopError(f"too many files like {self.path}", "remove some")


def _copy(segment: Path, joined: File) -> None:
    with segment.open("rb") as file:
        size = segment.stat().st_size
        file_format.read_heading(file, segment)
        offset = file.tell()
        if not joined.written:
            file.seek(0)
            joined.head(file.read(offset))
        while (place := file_format.read_place(file, offset, size)) is not None:
            file.seek(offset)
            joined.append(file.read(place.size), place.summary)
            offset += place.size
