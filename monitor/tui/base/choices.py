"""What the connect screen lets one choose from, as it is told. It knows nothing of processes, files or samples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from monitor.store.column import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from monitor.sources.base import Source
    from monitor.tui.base.paint import Part
    from monitor.tui.base.program import Program


@dataclass(frozen=True, slots=True)
class Choice:
    """One row. `cells` are texts by the key of their column."""

    key: Hashable
    cells: Mapping[str, str]
    about: tuple[str, ...] = ()  # what is below the table while the cursor is on it
    hint: str = ""  # what Enter does
    why_not: str = ""  # why it can not be opened, and what to do; empty: it can


@dataclass(slots=True)
class Opened:
    """What was chosen, ready to be shown. `close` ends what was started for it."""

    source: Source
    program: Program | None = None
    close: Callable[[], None] = field(default=lambda: None)


class Home(Protocol):
    """Where the choices come from. Every call may block: none is made in the thread of the screen."""

    def programs(self) -> Sequence[Choice]:
        """The Python programs that run."""

    def recordings(self) -> Sequence[Choice]:
        """The recordings of this folder."""

    def samples(self) -> Sequence[Choice]:
        """The catalogue."""

    def open(self, section: str, key: Hashable) -> Opened:
        """Connects, or raises LooptopError."""


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
            _column("owner", "Owner", 8, "whose it is", priority=5),
            _column("name", "Name", 10, "name of its probe", priority=4),
            _column("python", "Python", 8, "its version", priority=3),
            _column("loop", "Loop", 8, "which event loop, by what it has loaded", priority=2),
            _column("ports", "Listens", 16, "where it listens", priority=3),
            _column("watch", "Watch", 9, "how it can be watched"),
            _column("program", "Program", 36, "what runs, below what started it"),
        ),
        "No Python program is running here that you may see.\n"
        "looptop run SCRIPT starts one and watches it.\n3 shows samples: small programs to try this on.",
    ),
    Section(
        "recordings",
        "Recordings",
        (
            _column("file", "File", 30, "in this folder"),
            _column("program", "Program", 0, "what was recorded"),
            _column("when", "From", 16, "when it begins", priority=2),
            _column("length", "Length", 7, "how long it is", right=True),
            _column("size", "Size", 8, "of the file", right=True, priority=3),
        ),
        "There is no recording in this folder.\nlooptop record PID -o FILE makes one.",
    ),
    Section(
        "samples",
        "Samples",
        (
            _column("name", "Name", 24, "what it is called"),
            _column("topic", "Topic", 15, "what it is about", priority=3),
            _column("shows", "What it shows", 0, "in a sentence"),
        ),
        "There are no samples here.",
    ),
)


class ChoiceRows:
    """The choices of a section that pass the filter, in the order that they came in."""

    sort_key = ""
    descending = False

    def __init__(self, section: Section) -> None:
        self.section = section
        self.columns: Sequence[Column[Any]] = section.columns
        self.all: Sequence[Choice] = ()
        self.rows: list[Choice] = []
        self.words: tuple[str, ...] = ()

    def arrange(self) -> None:
        """Chooses the rows. Columns in which nothing stands are left out."""
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
        """What a row is called."""
        return self.rows[index].key

    def index(self, key: Hashable) -> int | None:
        """The place of a key."""
        return next((place for place, row in enumerate(self.rows) if row.key == key), None)

    def cells(self, index: int, columns: Sequence[Column[Choice]]) -> list[Part]:
        """What a row shows."""
        row = self.rows[index]
        return [(row.cells.get(column.key, ""), _style(row, column.key)) for column in columns]


def _style(row: Choice, key: str) -> str:
    """What can not be opened is faint; what can says how."""
    if row.why_not:
        return "dim" if key in ("program", "file") else "faint"
    match key:
        case "watch":
            return {"probe": "good", "attach": "accent"}.get(row.cells.get("watch", ""), "warn")
        case "program" | "file" | "name":
            return "strong"
        case "pid" | "shows" | "length":
            return "text"
        case _:
            return "dim"
