"""The choices of the connect screen, as plain data. Knows nothing of processes, files or samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from monitor.store.column import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence
    from pathlib import Path

    from monitor.sources.base import Source
    from monitor.tui.base.paint import Part
    from monitor.tui.base.program import Program


@dataclass(frozen=True, slots=True)
class Choice:
    """One row of the connect screen. `cells` maps column keys to texts."""

    key: Hashable
    cells: Mapping[str, str]
    about: tuple[str, ...] = ()  # shown below the table while the cursor is on it
    hint: str = ""  # what Enter does
    why_not: str = ""  # why it cannot be opened, and what to do; empty: it can


@dataclass(slots=True)
class Opened:
    """An opened choice, ready for the dashboard. `close` ends whatever was started for it."""

    source: Source
    program: Program | None = None
    close: Callable[[], None] = field(default=lambda: None)


@dataclass(frozen=True, slots=True)
class OpenedSet:
    """A TARGET whose processes are shown, all of them; or the folder of a recorded set."""

    what: str | Path


class ChoiceProvider(Protocol):
    """Provides the choices. Calls may block, so the screen makes them in a worker thread."""

    def programs(self) -> Sequence[Choice]:
        """Lists the running Python programs."""

    def recordings(self) -> Sequence[Choice]:
        """Lists the recordings in the current folder."""

    def samples(self) -> Sequence[Choice]:
        """Lists the sample programs."""

    def open(self, section: str, key: Hashable) -> Opened | OpenedSet:
        """Opens a choice. Raises LooptopError."""


def _column(key: str, title: str, width: int, help_: str, *, right: bool = False, priority: int = 1) -> Column[Choice]:
    return Column(key, title, width, help_, lambda row, _: row.cells.get(key, ""), right=right, priority=priority)


@dataclass(frozen=True, slots=True)
class Section:
    """A tab of the connect screen."""

    key: str
    title: str
    columns: tuple[Column[Choice], ...]
    empty: str


SECTIONS = (
    Section(
        "programs",
        "Programs",
        (
            _column("pid", "PID", 7, "process", right=True),
            _column("owner", "Owner", 8, "owner of the process", priority=5),
            _column("name", "Name", 10, "name of its probe", priority=4),
            _column("python", "Python", 8, "its version", priority=3),
            _column("loop", "Loop", 8, "event loop, by the modules loaded", priority=2),
            _column("ports", "Listens", 16, "ports it listens on", priority=3),
            _column("watch", "Watch", 9, "how it can be watched"),
            _column("program", "Program", 36, "command, below its parent"),
        ),
        "No Python programs visible to you.\n"
        "looptop run SCRIPT starts one and watches it.\n3 shows small sample programs to try it on.",
    ),
    Section(
        "recordings",
        "Recordings",
        (
            _column("file", "File", 30, "in this folder"),
            _column("name", "Name", 10, "name of the program", priority=4),
            _column("program", "Program", 0, "recorded program"),
            _column("when", "From", 16, "start of the recording", priority=2),
            _column("length", "Length", 7, "duration", right=True),
            _column("size", "Size", 8, "of the file", right=True, priority=3),
        ),
        "No recordings in this folder.\nlooptop record PID -o FILE makes one.",
    ),
    Section(
        "samples",
        "Samples",
        (
            _column("name", "Name", 24, "name of the sample"),
            _column("topic", "Topic", 15, "topic", priority=3),
            _column("shows", "What it shows", 0, "what it demonstrates"),
        ),
        "No samples.",
    ),
)


class ChoiceRows:
    """The choices of one section that match the filter, in the order of their source."""

    sort_key = ""
    descending = False

    def __init__(self, section: Section) -> None:
        self.section = section
        self.columns: Sequence[Column[Any]] = section.columns
        self.all: Sequence[Choice] = ()
        self.rows: list[Choice] = []
        self.words: tuple[str, ...] = ()

    def arrange(self) -> None:
        """Applies the filter and leaves out columns without any text."""
        self.rows = [row for row in self.all if self._passes(row)]
        self.columns = tuple(
            column
            for column in self.section.columns
            if not self.all or any(row.cells.get(column.key) for row in self.all)
        )

    def _passes(self, row: Choice) -> bool:
        text = " ".join((*row.cells.values(), *row.about)).lower()
        return all(word in text for word in self.words)

    def __len__(self) -> int:
        return len(self.rows)

    def key(self, index: int) -> Hashable:
        """The key of a row, which stays the same when rows move."""
        return self.rows[index].key

    def index(self, key: Hashable) -> int | None:
        """The row number of a key, or None."""
        return next((place for place, row in enumerate(self.rows) if row.key == key), None)

    def cells(self, index: int, columns: Sequence[Column[Choice]]) -> list[Part]:
        """The texts and styles of a row."""
        row = self.rows[index]
        return [(row.cells.get(column.key, ""), _style(row, column.key)) for column in columns]


def _style(row: Choice, key: str) -> str:
    """Rows that cannot be opened are faint; the `watch` cell is coloured by how the program can be watched."""
    if row.why_not:
        return "dim" if key in ("program", "file") else "faint"
    match key:
        case "watch":
            return {"probe": "good", "attach": "accent", "workers": "accent"}.get(row.cells.get("watch", ""), "warn")
        case "program" | "file" | "name":
            return "strong"
        case "pid" | "shows" | "length":
            return "text"
        case _:
            return "dim"
